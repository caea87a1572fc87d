//! One layer of the generated CNN: convolution, activation, pooling, batch normalisation.
//!
//! The normalisation comes last, as in the released code; the paper's text names another
//! order (docs/paper.md, deviation D1).

use crate::convolution::{Affine, convolve_and_normalize};
use crate::normalization::{normalize, normalize_by, statistics_of};
use crate::{Activations, BatchStatistics, ConvSpec, LayerWeights, PriorStatistics, convolve};

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
            affine(weights),
            &spec.into(),
        ),
        Normalization::OwnBatch => conv_layer_with_statistics(activations, weights, spec).0,
        Normalization::Given(statistics) => {
            let pooled = pooled(activations, weights, spec);
            pooled.map(|images| normalize_by(images, statistics, affine(weights)))
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
    let shown = pooled.shown();
    pooled.map_with(|images| normalize(images, shown, affine(weights)))
}

/// Applies one layer, normalises by the statistics of its images and of what was known before
/// together, and returns these.
pub(crate) fn conv_layer_with_prior(
    activations: Activations,
    weights: &LayerWeights,
    spec: &ConvSpec,
    prior: &PriorStatistics,
) -> (Activations, BatchStatistics) {
    let pooled = pooled(activations, weights, spec);
    let (shown, n_shown) = (pooled.shown(), pooled.n_shown());
    pooled.map_with(|images| {
        let own = statistics_of(images.clone(), shown);
        let statistics = prior.joined(own, n_shown);
        let normalized = normalize_by(images, &statistics, affine(weights));
        (normalized, statistics)
    })
}

fn affine(weights: &LayerWeights) -> Affine {
    Affine {
        scale: weights.scale.clone(),
        shift: weights.shift.clone(),
    }
}

fn pooled(activations: Activations, weights: &LayerWeights, spec: &ConvSpec) -> Activations {
    let (kernel, bias) = (weights.kernel.clone(), weights.bias.clone());
    convolve(activations, kernel, bias, &spec.into())
}
