//! One layer of the generated CNN: convolution, activation, pooling, batch normalisation.
//!
//! The normalisation comes last, as in the released code; the paper's text names another
//! order (docs/paper.md, deviation D1).

use burn::tensor::Tensor;

use crate::convolution::{Affine, BATCH_NORM_EPSILON, convolve_and_normalize};
use crate::{Activations, ConvSpec, LayerWeights, convolve};

/// Mean and biased variance of each channel over the images and pixels of an episode.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    /// `[E, O]`.
    pub mean: Tensor<2>,
    /// `[E, O]`.
    pub variance: Tensor<2>,
}

/// Where the statistics of a layer's normalisation come from.
#[derive(Clone, Copy, Debug)]
pub enum Normalization<'a> {
    /// The images of this call that are not hidden.
    OwnBatch,
    /// An earlier call.
    Given(&'a BatchStatistics),
}

/// Applies one layer to the images of E episodes.
///
/// # Shapes
/// - `activations`: B images of `spec.input` for each of E episodes
/// - returns: B images of `spec.output` for each of E episodes
pub fn conv_layer(
    activations: Activations,
    weights: &LayerWeights,
    spec: &ConvSpec,
    normalization: Normalization<'_>,
) -> Activations {
    match normalization {
        Normalization::OwnBatch if activations.is_whole() => convolve_and_normalize(
            activations,
            weights.kernel.clone(),
            weights.bias.clone(),
            Affine {
                scale: weights.scale.clone(),
                shift: weights.shift.clone(),
            },
            &spec.into(),
        ),
        Normalization::OwnBatch => conv_layer_with_statistics(activations, weights, spec).0,
        Normalization::Given(statistics) => {
            pooled(activations, weights, spec).map(|x| normalize(x, statistics, weights))
        }
    }
}

/// Applies one layer and also returns the statistics of its images, through which
/// gradients flow.
pub(crate) fn conv_layer_with_statistics(
    activations: Activations,
    weights: &LayerWeights,
    spec: &ConvSpec,
) -> (Activations, BatchStatistics) {
    let pooled = pooled(activations, weights, spec);
    let statistics = pooled.statistics();
    let normalized = pooled.map(|x| normalize(x, &statistics, weights));
    (normalized, statistics)
}

fn pooled(activations: Activations, weights: &LayerWeights, spec: &ConvSpec) -> Activations {
    let (kernel, bias) = (weights.kernel.clone(), weights.bias.clone());
    convolve(activations, kernel, bias, &spec.into())
}

/// (x - mean) / sqrt(variance + epsilon) * scale + shift, per episode and channel.
fn normalize(x: Tensor<5>, statistics: &BatchStatistics, weights: &LayerWeights) -> Tensor<5> {
    let deviation = (statistics.variance.clone() + BATCH_NORM_EPSILON).sqrt();
    let factor = weights.scale.clone() / deviation;
    let offset = weights.shift.clone() - statistics.mean.clone() * factor.clone();
    x * factor.unsqueeze_dims(&[2, 3, 4]) + offset.unsqueeze_dims(&[2, 3, 4])
}
