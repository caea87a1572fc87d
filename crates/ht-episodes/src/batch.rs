//! From plans to tensors: pixels are gathered on the host, then moved to a device once.
//!
//! The two halves are separate because the first one runs ahead on another thread
//! ([`crate::Prefetch`]), while the second one belongs to the thread that owns the device.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::{EpisodePlan, ImageSet, ImageShape, PlannedClass, quarter_turn};

/// The labelled images of E episodes: all that the generator may see.
#[derive(Clone, Debug)]
pub struct SupportSet {
    /// `[E, S, C, H, W]`, pixels in [-1, 1).
    pub images: Tensor<5>,
    /// `[E, S]`, labels 0..N; N stands for "no label".
    pub labels: Tensor<2, Int>,
}

/// The images of E episodes that are to be classified.
#[derive(Clone, Debug)]
pub struct QuerySet {
    /// `[E, Q, C, H, W]`, pixels in [-1, 1).
    pub images: Tensor<5>,
    /// `[E, Q]`, labels 0..N.
    pub labels: Tensor<2, Int>,
}

/// A meta-batch of E episodes on a device.
#[derive(Clone, Debug)]
pub struct EpisodeBatch {
    /// What the generator sees.
    pub support: SupportSet,
    /// What the generated CNN classifies.
    pub query: QuerySet,
}

/// Images and labels of one role, on the host.
#[derive(Clone, Debug, PartialEq)]
struct HostImages {
    /// `[E, n, C, H, W]`, flattened.
    pixels: Vec<f32>,
    /// `[E, n]`, flattened.
    labels: Vec<i32>,
}

/// A meta-batch of E episodes on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct CollatedBatch {
    n_episodes: usize,
    shape: ImageShape,
    support: HostImages,
    query: HostImages,
}

/// Maps a byte to [-1, 1) as the released code does: x / 128 - 1.
pub fn normalize_pixel(byte: u8) -> f32 {
    f32::from(byte) / 128.0 - 1.0
}

/// Gathers the images of several episodes of the same size.
///
/// Within an episode the images stand class by class; their order carries no meaning,
/// since neither the transformer nor the batch statistics depend on it.
pub fn collate(images: &ImageSet, plans: &[EpisodePlan]) -> CollatedBatch {
    let gather = |role: fn(&PlannedClass) -> &[usize]| {
        let mut pixels = Vec::new();
        let mut labels = Vec::new();
        for plan in plans {
            for (label, planned) in plan.classes.iter().enumerate() {
                for &image in role(planned) {
                    let bytes = images.image(planned.class, image);
                    if planned.quarter_turns == 0 {
                        pixels.extend(bytes.iter().copied().map(normalize_pixel));
                    } else {
                        let turned = quarter_turn(bytes, images.shape(), planned.quarter_turns);
                        pixels.extend(turned.into_iter().map(normalize_pixel));
                    }
                    labels.push(label as i32);
                }
            }
        }
        HostImages { pixels, labels }
    };
    CollatedBatch {
        n_episodes: plans.len(),
        shape: images.shape(),
        support: gather(|planned| &planned.support),
        query: gather(|planned| &planned.query),
    }
}

impl CollatedBatch {
    /// E: the number of episodes.
    pub fn n_episodes(&self) -> usize {
        self.n_episodes
    }

    /// Copies the batch to a device.
    pub fn to_device(self, device: &Device) -> EpisodeBatch {
        let Self {
            n_episodes,
            shape,
            support,
            query,
        } = self;
        let move_over = |host: HostImages| {
            let n_images = host.labels.len() / n_episodes;
            let ImageShape {
                channels,
                height,
                width,
            } = shape;
            let images =
                TensorData::new(host.pixels, [n_episodes, n_images, channels, height, width]);
            let labels = TensorData::new(host.labels, [n_episodes, n_images]);
            (
                Tensor::from_data(images, device),
                Tensor::from_data(labels, device),
            )
        };
        let (images, labels) = move_over(support);
        let support = SupportSet { images, labels };
        let (images, labels) = move_over(query);
        let query = QuerySet { images, labels };
        EpisodeBatch { support, query }
    }
}
