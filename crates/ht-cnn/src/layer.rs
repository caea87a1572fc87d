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
    /// The images of this call.
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
    let n_episodes = activations.n_episodes();
    let pooled = convolve_and_pool(activations, weights, spec);
    let normalized = match normalization {
        Normalization::OwnBatch => {
            let n_channels = n_episodes * spec.output.channels;
            batch_norm_train(
                pooled,
                weights.scale.clone().reshape([n_channels]),
                weights.shift.clone().reshape([n_channels]),
                BATCH_NORM_EPSILON,
            )
            .output
        }
        Normalization::Given(statistics) => normalize(pooled, statistics, weights),
    };
    Activations::new(normalized, n_episodes)
}

/// Applies one layer and also returns the statistics of its images, through which
/// gradients flow.
pub(crate) fn conv_layer_with_statistics(
    activations: Activations,
    weights: &LayerWeights,
    spec: &ConvSpec,
) -> (Activations, BatchStatistics) {
    let n_episodes = activations.n_episodes();
    let pooled = convolve_and_pool(activations, weights, spec);
    let mean = pooled.clone().mean_dims(&[0, 2, 3]);
    let variance = (pooled.clone() - mean.clone())
        .square()
        .mean_dims(&[0, 2, 3]);
    let shape = [n_episodes, spec.output.channels];
    let statistics = BatchStatistics {
        mean: mean.reshape(shape),
        variance: variance.reshape(shape),
    };
    let normalized = normalize(pooled, &statistics, weights);
    (Activations::new(normalized, n_episodes), statistics)
}

fn convolve_and_pool(
    activations: Activations,
    weights: &LayerWeights,
    spec: &ConvSpec,
) -> Tensor<4> {
    let kernel = weights.kernel.clone();
    let convolved = episode_conv2d(
        activations.into_folded(),
        kernel,
        weights.bias.clone(),
        spec,
    );
    let activated = match spec.activation {
        Activation::Relu => relu(convolved),
        Activation::LeakyRelu => leaky_relu(convolved, LEAKY_SLOPE),
    };
    match spec.pooling {
        Pooling::Max => max_pool2d(activated, MaxPoolOptions::new([2, 2]).with_stride([2, 2])),
        Pooling::None => activated,
    }
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
