//! The one operation that costs: convolution, activation and pooling with another kernel for
//! every episode, and the batch normalisation behind it.
//!
//! It is written once in [ordinary tensor operations](crate::ordinary), for every device. Where the
//! feature `flex` is on and the tensors are the CPU's, [`cpu`](crate::cpu) computes the same several
//! times faster. Nothing outside this file knows which of the two runs.

use burn::tensor::Tensor;

use crate::ordinary::ordinary_layer;
use crate::{Activation, Activations, ConvSpec, Pooling};

/// Added to the variance of the batch normalisation, as in the released code.
pub const BATCH_NORM_EPSILON: f64 = 1e-3;

/// Slope of the leaky ReLU for negative inputs, as in the released code.
pub(crate) const LEAKY_SLOPE: f64 = 0.01;

/// What a convolution does besides its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Pixels from one position of the kernel to the next.
    pub stride: usize,
    /// Zeros before and after the rows, and before and after the columns.
    pub padding: [(usize, usize); 2],
    /// Nonlinearity behind it, if any.
    pub activation: Option<Activation>,
    /// Pooling behind the nonlinearity.
    pub pooling: Pooling,
}

impl From<&ConvSpec> for Convolution {
    fn from(spec: &ConvSpec) -> Self {
        Self {
            stride: spec.stride,
            padding: spec.padding,
            activation: Some(spec.activation),
            pooling: spec.pooling,
        }
    }
}

/// The tensors of a layer.
#[derive(Clone, Debug)]
pub(crate) struct Operands {
    /// `[E, I, H, W, B]`.
    pub(crate) images: Tensor<5>,
    /// `[E, O, I, F, F]`.
    pub(crate) kernel: Tensor<5>,
    /// `[E, O]`.
    pub(crate) bias: Option<Tensor<2>>,
    /// Of the batch normalisation behind it, if any.
    pub(crate) affine: Option<Affine>,
}

/// Scale and shift of a batch normalisation, `[E, O]` each.
#[derive(Clone, Debug)]
pub(crate) struct Affine {
    pub(crate) scale: Tensor<2>,
    pub(crate) shift: Tensor<2>,
}

/// Convolves the images of each episode with the episode's own kernel, then applies activation
/// and pooling.
///
/// # Shapes
/// - `activations`: B images `[I, H, W]` of each of E episodes
/// - `kernel`: `[E, O, I, F, F]`; `bias`: `[E, O]`
/// - returns: B images `[O, H', W']` of each of E episodes
pub fn convolve(
    activations: Activations,
    kernel: Tensor<5>,
    bias: Option<Tensor<2>>,
    convolution: &Convolution,
) -> Activations {
    activations.map(|images| {
        let operands = Operands {
            images,
            kernel,
            bias,
            affine: None,
        };
        layer(operands, convolution)
    })
}

/// As [`convolve`], then batch normalisation over all images of each episode.
pub(crate) fn convolve_and_normalize(
    activations: Activations,
    kernel: Tensor<5>,
    bias: Option<Tensor<2>>,
    affine: Affine,
    convolution: &Convolution,
) -> Activations {
    activations.map(|images| {
        let operands = Operands {
            images,
            kernel,
            bias,
            affine: Some(affine),
        };
        layer(operands, convolution)
    })
}

/// # Shapes
/// - returns: `[E, O, H', W', B]`
fn layer(operands: Operands, convolution: &Convolution) -> Tensor<5> {
    #[cfg(feature = "flex")]
    if crate::cpu::serves(&operands) {
        return crate::cpu::layer(operands, convolution);
    }
    ordinary_layer(operands, convolution)
}

#[cfg(all(test, feature = "flex"))]
mod tests;
