//! Prototypes (Snell, Swersky & Zemel, 2017): a query image belongs to the class whose mean is
//! nearest in the feature space of the convolutions, which are all that is learned.

use burn::tensor::Tensor;
use ht_cnn::LogitsWeights;

use crate::targets::Targets;

/// The logits layer of class means.
///
/// # Shapes
/// - `features`: `[E, S, P]` of the support images
pub(crate) fn class_means(features: &Tensor<3>, targets: &Targets) -> LogitsWeights {
    LogitsWeights::of_class_means(features, &targets.one_hot)
}
