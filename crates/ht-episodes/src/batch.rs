//! From plans to tensors: pixels are gathered on the host, then moved to a device once.
//!
//! The two halves are separate because the first one runs ahead on another thread
//! ([`crate::Prefetch`]), while the second one belongs to the thread that owns the device.
//!
//! Episodes of different sizes stand in one batch by padding: each is filled up with images of
//! zeros (a grey between black and white) that a mask hides. Where nothing is hidden there is no mask.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::{EpisodePlan, ImageChange, ImageSet, ImageShape, PlannedImage, augmented_pixels};

/// The support images of E episodes, labelled or not: all that the generator may see.
#[derive(Clone, Debug)]
pub struct SupportSet {
    /// `[E, S, C, H, W]`, pixels in [-1, 1).
    pub images: Tensor<5>,
    /// `[E, S]`, labels 0..N; N stands for "no label".
    pub labels: Tensor<2, Int>,
    /// `[E, S]`, true for padding and removed samples; none where all samples count.
    pub hidden: Option<Tensor<2, Bool>>,
    /// `[E, N]`, true for labels that no class of the episode has; none where all are used.
    pub absent: Option<Tensor<2, Bool>>,
}

impl SupportSet {
    /// A support set of which every sample counts.
    ///
    /// # Shapes
    /// - `images`: `[E, S, C, H, W]`; `labels`: `[E, S]`
    pub fn new(images: Tensor<5>, labels: Tensor<2, Int>) -> Self {
        Self {
            images,
            labels,
            hidden: None,
            absent: None,
        }
    }

    /// The labels among N classes as rows of zeros and ones: all zero where a sample has none or
    /// is hidden.
    ///
    /// # Shapes
    /// - returns: `[E, S, N]`
    pub fn one_hot(&self, ways: usize) -> Tensor<3> {
        let [e, s] = self.labels.dims();
        let classes = Tensor::<1, Int>::arange(0..ways as i64, &self.labels.device());
        let classes = classes.unsqueeze_dims::<3>(&[0, 0]).expand([e, s, ways]);
        let labels = self.labels.clone().unsqueeze_dim::<3>(2);
        let mut is_label = labels.expand([e, s, ways]).equal(classes);
        if let Some(hidden) = &self.hidden {
            let shown = hidden.clone().bool_not().unsqueeze_dim::<3>(2);
            is_label = is_label.bool_and(shown.expand([e, s, ways]));
        }
        is_label.float()
    }
}

/// The images of E episodes that are to be classified.
#[derive(Clone, Debug)]
pub struct QuerySet {
    /// `[E, Q, C, H, W]`, pixels in [-1, 1).
    pub images: Tensor<5>,
    /// `[E, Q]`, labels 0..N.
    pub labels: Tensor<2, Int>,
    /// `[E, Q]`, true for padding; none where there is none.
    pub hidden: Option<Tensor<2, Bool>>,
}

/// A meta-batch of E episodes on a device.
#[derive(Clone, Debug)]
pub struct EpisodeBatch {
    /// What the generator sees.
    pub support: SupportSet,
    /// What the generated CNN classifies.
    pub query: QuerySet,
    /// `[E, S]`, the [number](crate::PlannedClass::number) of each support sample's real class
    /// among those that the episode was drawn from, 0 for padding: for losses that look past the
    /// episode.
    /// They stay on the host: few losses want them.
    pub support_classes: TensorData,
    /// `[E, Q]`, the same of each query image.
    pub query_classes: TensorData,
}

/// Images and labels of one role, on the host.
#[derive(Clone, Debug, PartialEq)]
struct HostImages {
    /// `[E, n, C, H, W]`, flattened.
    pixels: Vec<f32>,
    /// `[E, n]`, flattened.
    labels: Vec<i32>,
    /// `[E, n]`, flattened: numbers of the real classes.
    classes: Vec<i32>,
    /// `[E, n]`, flattened.
    hidden: Vec<bool>,
}

/// A meta-batch of E episodes on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct CollatedBatch {
    n_episodes: usize,
    shape: ImageShape,
    support: HostImages,
    query: HostImages,
    /// `[E, N]`, flattened.
    absent: Vec<bool>,
}

/// Maps a byte to [-1, 1) as the released code does: x / 128 - 1.
pub fn normalize_pixel(byte: u8) -> f32 {
    f32::from(byte) / 128.0 - 1.0
}

/// Gathers the images of several episodes with the same number N of labels.
///
/// Within an episode the images stand class by class; their order carries no meaning,
/// since neither the transformer nor the batch statistics depend on it.
///
/// # Panics
/// Plans of classes or images that `images` does not have. No plans make a batch that cannot be taken
/// to a device.
pub fn collate(images: &ImageSet, plans: &[EpisodePlan]) -> CollatedBatch {
    let absent = |plan: &EpisodePlan| -> Vec<bool> {
        let labels = 0..plan.ways;
        labels.map(|label| !plan.has_label(label)).collect()
    };
    CollatedBatch {
        n_episodes: plans.len(),
        shape: images.shape(),
        support: gather(images, plans, |plan| plan.support().collect(), true),
        query: gather(images, plans, |plan| plan.query().collect(), false),
        absent: plans.iter().flat_map(absent).collect(),
    }
}

/// The images of one role of all plans, padded to the same number.
fn gather(
    images: &ImageSet,
    plans: &[EpisodePlan],
    role: fn(&EpisodePlan) -> Vec<PlannedImage>,
    is_support: bool,
) -> HostImages {
    let chosen: Vec<Vec<PlannedImage>> = plans.iter().map(role).collect();
    let n_images = chosen.iter().map(Vec::len).max().unwrap_or(0);
    let mut host = HostImages {
        pixels: Vec::with_capacity(plans.len() * n_images * images.shape().len()),
        labels: Vec::with_capacity(plans.len() * n_images),
        classes: Vec::with_capacity(plans.len() * n_images),
        hidden: Vec::with_capacity(plans.len() * n_images),
    };
    for (plan, chosen) in plans.iter().zip(&chosen) {
        let no_label = plan.ways as i32;
        let changes = if is_support {
            &plan.support_changes
        } else {
            &plan.query_changes
        };
        for (at, planned) in chosen.iter().enumerate() {
            push_pixels(&mut host.pixels, images, planned, changes.get(at));
            let label = planned.label.map_or(no_label, |label| label as i32);
            host.labels.push(label);
            host.classes.push(planned.number as i32);
            let is_removed = is_support && plan.removed.get(at).is_some_and(|&removed| removed);
            host.hidden.push(is_removed);
        }
        let n_padding = n_images - chosen.len();
        let n_pixels = n_padding * images.shape().len();
        host.pixels.extend(std::iter::repeat_n(0.0, n_pixels));
        let label = if is_support { no_label } else { 0 };
        host.labels.extend(std::iter::repeat_n(label, n_padding));
        host.classes.extend(std::iter::repeat_n(0, n_padding));
        host.hidden.extend(std::iter::repeat_n(true, n_padding));
    }
    host
}

fn push_pixels(
    pixels: &mut Vec<f32>,
    images: &ImageSet,
    planned: &PlannedImage,
    change: Option<&ImageChange>,
) {
    let bytes = images.image(planned.class, planned.image);
    let orientation = planned.orientation();
    let class = planned.augmentation.as_ref();
    if class.is_none() && change.is_none() {
        let bytes = orientation.apply(bytes, images.shape());
        pixels.extend(bytes.iter().copied().map(normalize_pixel));
    } else {
        let shape = images.shape();
        pixels.extend(augmented_pixels(bytes, shape, orientation, class, change));
    }
}

impl CollatedBatch {
    /// E: the number of episodes.
    pub fn n_episodes(&self) -> usize {
        self.n_episodes
    }

    /// Query images that are no padding, over all episodes.
    pub fn n_query(&self) -> usize {
        self.query.n_shown()
    }

    /// Support images that are neither padding nor removed, over all episodes.
    pub fn n_support(&self) -> usize {
        self.support.n_shown()
    }

    /// Those of them that have a label.
    pub fn n_labelled_support(&self) -> usize {
        let no_label = (self.absent.len() / self.n_episodes) as i32;
        let images = self.support.labels.iter().zip(&self.support.hidden);
        let counts = |&(&label, &hidden): &(&i32, &bool)| label < no_label && !hidden;
        images.filter(counts).count()
    }

    /// Copies the batch to a device.
    ///
    /// # Panics
    /// A batch of no episodes.
    pub fn to_device(self, device: &Device) -> EpisodeBatch {
        let n_episodes = self.n_episodes;
        let absent = mask(self.absent, n_episodes, device);
        let support = self.support.into_tensors(n_episodes, self.shape, device);
        let query = self.query.into_tensors(n_episodes, self.shape, device);
        EpisodeBatch {
            support: SupportSet {
                images: support.images,
                labels: support.labels,
                hidden: support.hidden,
                absent,
            },
            query: QuerySet {
                images: query.images,
                labels: query.labels,
                hidden: query.hidden,
            },
            support_classes: support.classes,
            query_classes: query.classes,
        }
    }
}

/// [`HostImages`] on a device.
struct OnDevice {
    images: Tensor<5>,
    labels: Tensor<2, Int>,
    classes: TensorData,
    hidden: Option<Tensor<2, Bool>>,
}

impl HostImages {
    fn n_shown(&self) -> usize {
        self.hidden.iter().filter(|&&hidden| !hidden).count()
    }

    fn into_tensors(self, n_episodes: usize, shape: ImageShape, device: &Device) -> OnDevice {
        let n_images = self.labels.len() / n_episodes;
        let ImageShape {
            channels,
            height,
            width,
        } = shape;
        let images = TensorData::new(self.pixels, [n_episodes, n_images, channels, height, width]);
        let integers = |values: Vec<i32>| TensorData::new(values, [n_episodes, n_images]);
        OnDevice {
            images: Tensor::from_data(images, device),
            labels: Tensor::from_data(integers(self.labels), device),
            classes: integers(self.classes),
            hidden: mask(self.hidden, n_episodes, device),
        }
    }
}

/// `[E, n]`, or none where nothing is marked.
fn mask(marked: Vec<bool>, n_episodes: usize, device: &Device) -> Option<Tensor<2, Bool>> {
    let columns = marked.len() / n_episodes;
    let any = marked.iter().any(|&marked| marked);
    any.then(|| Tensor::from_data(TensorData::new(marked, [n_episodes, columns]), device))
}
