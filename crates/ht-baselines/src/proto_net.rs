//! Prototypes (Snell, Swersky & Zemel, 2017): a query image belongs to the class whose mean is
//! nearest in the feature space of the convolutions.
//!
//! The squared distance `|f - c|^2 = |f|^2 - 2 f c + |c|^2` is, but for a term that all classes
//! share, a logits layer with the rows 2 c and the biases -|c|^2.

use burn::tensor::Tensor;
use ht_cnn::LogitsWeights;

use crate::targets::Targets;

/// The logits layer of class means.
///
/// # Shapes
/// - `features`: `[E, S, P]` of the support images
pub(crate) fn class_means(features: &Tensor<3>, targets: &Targets) -> LogitsWeights {
    // [E, N, S] x [E, S, P], a row per class.
    let one_hot = targets.one_hot.clone().swap_dims(1, 2);
    let sums = one_hot.matmul(features.clone());
    let counts = targets.counts();
    let shape = sums.dims();
    // A class of which nothing is shown is no more likely than the mean of all.
    let mean_of_all = sums.clone().sum_dim(1) / counts.clone().sum_dim(1).clamp_min(1.0);
    let is_empty = counts.clone().equal_elem(0.0).expand(shape);
    let means = sums / counts.clamp_min(1.0);
    let means = means.mask_where(is_empty, mean_of_all.expand(shape));
    LogitsWeights {
        kernel: means.clone() * 2.0,
        bias: means.square().sum_dim(2).squeeze_dim::<2>(2).neg(),
    }
}
