//! The last layer: from activations to one logit per class.

use burn::tensor::Tensor;

use crate::{Activations, Features, LogitsWeights};

/// Features of the logits layer.
///
/// # Shapes
/// - `activations`: B images `[C, H, W]` for each of E episodes
/// - returns: `[E, B, P]`, flattened in H, W, C order as in the released code
pub fn flatten_features(activations: Activations, features: Features) -> Tensor<3> {
    match features {
        Features::Flatten => {
            let images = activations.into_images();
            let [e, b, c, h, w] = images.dims();
            images.permute([0, 1, 3, 4, 2]).reshape([e, b, h * w * c])
        }
        Features::Mean => activations.pixel_means(),
    }
}

/// Logits of B images for each of E episodes.
///
/// # Shapes
/// - `features`: `[E, B, P]`
/// - returns: `[E, B, N]`
pub fn logits(features: Tensor<3>, weights: &LogitsWeights) -> Tensor<3> {
    let kernel = weights.kernel.clone().swap_dims(1, 2);
    features.matmul(kernel) + weights.bias.clone().unsqueeze_dim(1)
}
