//! Batch normalisation in ordinary operations, of images in the order `[E, C, H, W, B]`.
//!
//! Sums go over the pixels of each image first and over the images then, on the way back too:
//! [`ordinary`](crate::ordinary) says why.

use burn::tensor::Tensor;

use crate::convolution::{Affine, BATCH_NORM_EPSILON};

/// Mean and biased variance of each channel over the images and pixels of an episode.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    /// `[E, O]`.
    pub mean: Tensor<2>,
    /// `[E, O]`.
    pub variance: Tensor<2>,
}

/// Normalises images by their own statistics, through which gradients flow.
///
/// # Shapes
/// - `images`: `[E, O, H, W, B]`, returns the same
/// - `shown`: `[E, B]`, 1 for images that count and 0 for the others; none where all do
pub(crate) fn normalize(
    images: Tensor<5>,
    shown: Option<Tensor<2>>,
    affine: Affine,
) -> (Tensor<5>, BatchStatistics) {
    let shape = images.dims();
    let b = shape[4];
    let (centred, statistics) = centred(images, shown);
    let factor = affine.scale / (statistics.variance.clone() + BATCH_NORM_EPSILON).sqrt();
    let normalized = centred * for_every_image(factor, b) + for_every_image(affine.shift, b);
    (normalized.reshape(shape), statistics)
}

/// The statistics of images, through which gradients flow.
///
/// # Shapes
/// as in [`normalize`]
pub(crate) fn statistics_of(images: Tensor<5>, shown: Option<Tensor<2>>) -> BatchStatistics {
    centred(images, shown).1
}

/// Images less their mean.
///
/// # Shapes
/// - returns: `[E, O, H W, B]`
fn centred(images: Tensor<5>, shown: Option<Tensor<2>>) -> (Tensor<4>, BatchStatistics) {
    let [e, o, h, w, b] = images.dims();
    let shown = shown.map(|shown| shown.reshape([e, 1, 1, b]));
    let mean_of = |x: Tensor<4>| {
        let of_images = x.mean_dim(2);
        let mean = match &shown {
            None => of_images.mean_dim(3),
            Some(shown) => {
                let n_shown = shown.clone().sum_dim(3).clamp_min(1.0);
                (of_images * shown.clone()).sum_dim(3) / n_shown
            }
        };
        mean.reshape([e, o])
    };
    let images = images.reshape([e, o, h * w, b]);
    let mean = mean_of(images.clone());
    let centred = images - for_every_image(mean.clone(), b);
    let variance = mean_of(centred.clone().square());
    (centred, BatchStatistics { mean, variance })
}

/// Normalises images by the statistics of others.
///
/// # Shapes
/// - `images`: `[E, O, H, W, B]`, returns the same
pub(crate) fn normalize_by(
    images: Tensor<5>,
    statistics: &BatchStatistics,
    affine: Affine,
) -> Tensor<5> {
    let shape = images.dims();
    let [e, o, h, w, b] = shape;
    let deviation = (statistics.variance.clone() + BATCH_NORM_EPSILON).sqrt();
    let factor = affine.scale / deviation;
    let offset = affine.shift - statistics.mean.clone() * factor.clone();
    let images = images.reshape([e, o, h * w, b]);
    let normalized = images * for_every_image(factor, b) + for_every_image(offset, b);
    normalized.reshape(shape)
}

/// A value of each channel once for every image, so that its gradient is summed over the pixels
/// first and over the images then.
///
/// # Shapes
/// - `values`: `[E, O]`; returns: `[E, O, 1, B]`
pub(crate) fn for_every_image(values: Tensor<2>, b: usize) -> Tensor<4> {
    let [e, o] = values.dims();
    values.reshape([e, o, 1, 1]).expand([e, o, 1, b])
}
