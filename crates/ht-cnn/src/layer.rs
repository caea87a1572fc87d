//! One layer of the generated CNN: convolution, activation, pooling, batch normalisation.
//!
//! The normalisation comes last, as in the released code; the paper's text names another
//! order (docs/paper.md, deviation D1).

use burn::tensor::Tensor;
use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::module::{batch_norm_train, max_pool2d};
use burn::tensor::ops::MaxPoolOptions;

use crate::{Activation, Activations, ConvSpec, LayerWeights, Pooling, episode_conv2d};

/// Added to the variance, as in the released code.
pub const BATCH_NORM_EPSILON: f64 = 1e-3;

/// Slope of the leaky ReLU for negative inputs, as in the released code.
const LEAKY_SLOPE: f64 = 0.01;

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
    let n_channels = activations.n_episodes() * spec.output.channels;
    let pooled = convolve_and_pool(activations, weights, spec);
    match normalization {
        Normalization::OwnBatch if pooled.is_whole() => pooled.map(|x| {
            let per_channel = |values: &Tensor<2>| values.clone().reshape([n_channels]);
            let (scale, shift) = (per_channel(&weights.scale), per_channel(&weights.shift));
            batch_norm_train(x, scale, shift, BATCH_NORM_EPSILON).output
        }),
        Normalization::OwnBatch => {
            let statistics = pooled.statistics();
            pooled.map(|x| normalize(x, &statistics, weights))
        }
        Normalization::Given(statistics) => pooled.map(|x| normalize(x, statistics, weights)),
    }
}

/// Applies one layer and also returns the statistics of its images, through which
/// gradients flow.
pub(crate) fn conv_layer_with_statistics(
    activations: Activations,
    weights: &LayerWeights,
    spec: &ConvSpec,
) -> (Activations, BatchStatistics) {
    let pooled = convolve_and_pool(activations, weights, spec);
    let statistics = pooled.statistics();
    let normalized = pooled.map(|x| normalize(x, &statistics, weights));
    (normalized, statistics)
}

fn convolve_and_pool(
    activations: Activations,
    weights: &LayerWeights,
    spec: &ConvSpec,
) -> Activations {
    activations.map(|images| {
        let (kernel, bias) = (weights.kernel.clone(), weights.bias.clone());
        let convolved = episode_conv2d(images, kernel, bias, spec);
        let activated = match spec.activation {
            Activation::Relu => relu(convolved),
            Activation::LeakyRelu => leaky_relu(convolved, LEAKY_SLOPE),
        };
        match spec.pooling {
            Pooling::Max => max_pool2d(activated, MaxPoolOptions::new([2, 2]).with_stride([2, 2])),
            Pooling::None => activated,
        }
    })
}

/// (x - mean) / sqrt(variance + epsilon) * scale + shift, per episode and channel.
fn normalize(x: Tensor<4>, statistics: &BatchStatistics, weights: &LayerWeights) -> Tensor<4> {
    let [_, n_channels, _, _] = x.dims();
    let per_channel = |values: Tensor<2>| values.reshape([1, n_channels, 1, 1]);
    let deviation = (statistics.variance.clone() + BATCH_NORM_EPSILON).sqrt();
    let factor = weights.scale.clone() / deviation;
    let offset = weights.shift.clone() - statistics.mean.clone() * factor.clone();
    x * per_channel(factor) + per_channel(offset)
}
