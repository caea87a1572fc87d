//! Dense layers and layer norms in ordinary tensor operations, arranged for a GPU.
//!
//! Their parameters are shared by all tokens of all episodes. Burn sums a gradient over both at once,
//! one thread for each value; here a parameter is spread over the episodes first, so that the way
//! back sums over the tokens of each episode and then over the episodes. On a CPU the transformer
//! runs in [`cpu`](crate::cpu) instead.

use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;

use crate::init::LAYER_NORM_EPSILON;

/// # Shapes
/// - `tokens`: `[E, T, D]`; returns: `[E, T, D']`
pub(crate) fn dense(layer: &Linear, tokens: Tensor<3>) -> Tensor<3> {
    let [e, _, _] = tokens.dims();
    let product = tokens.matmul(layer.weight.val().unsqueeze::<3>());
    match &layer.bias {
        Some(bias) => product + for_every_episode(bias.val(), e),
        None => product,
    }
}

/// # Shapes
/// - `tokens`: `[E, T, D]`; returns the same
pub(crate) fn layer_norm(norm: &LayerNorm, tokens: Tensor<3>) -> Tensor<3> {
    let [e, _, _] = tokens.dims();
    let centred = tokens.clone() - tokens.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    let normalized = centred / (variance + LAYER_NORM_EPSILON).sqrt();
    let scaled = normalized * for_every_episode(norm.gamma.val(), e);
    match &norm.beta {
        Some(beta) => scaled + for_every_episode(beta.val(), e),
        None => scaled,
    }
}

/// # Shapes
/// - `values`: `[D]`; returns: `[E, 1, D]`
fn for_every_episode(values: Tensor<1>, e: usize) -> Tensor<3> {
    let [d] = values.dims();
    values.reshape([1, 1, d]).expand([e, 1, d])
}
