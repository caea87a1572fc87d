//! The one operation that costs: a convolution with another kernel for every episode.
//!
//! It is a grouped convolution, one group per episode: few launches on a GPU, and no slower
//! than a loop over episodes on a CPU. A faster way for one device would replace this
//! function's body and nothing else.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use crate::ConvSpec;

/// Convolves the images of each episode with the episode's own kernel.
///
/// # Shapes
/// - `images`: `[B, E * I, H, W]`, episodes side by side in the channel axis
/// - `kernel`: `[E, O, I, F, F]`; `bias`: `[E, O]`
/// - returns: `[B, E * O, H', W']`
pub fn episode_conv2d(
    images: Tensor<4>,
    kernel: Tensor<5>,
    bias: Option<Tensor<2>>,
    spec: &ConvSpec,
) -> Tensor<4> {
    let [e, o, i, f, _] = kernel.dims();
    let options = ConvOptions::new_with_padding([spec.stride; 2], spec.padding, [1, 1], e);
    conv2d(
        images,
        kernel.reshape([e * o, i, f, f]),
        bias.map(|bias| bias.reshape([e * o])),
        options,
    )
}
