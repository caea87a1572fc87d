//! The feed-forward part of a transformer block: two dense layers, token by token.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, leaky_relu, relu};

#[cfg(feature = "flex")]
use crate::cpu::PartKind;
use crate::shared::dense;
use crate::{BlockActivation, ParameterInit, PartCost};

/// Slope of the leaky ReLU for negative inputs, as in the released code.
const LEAKY_SLOPE: f64 = 0.1;

/// Two dense layers and what stands between them.
#[derive(Module, Debug)]
pub struct FeedForward {
    inner: Linear,
    outer: Linear,
    /// None where the part is linear.
    #[module(skip)]
    activation: Option<BlockActivation>,
}

impl FeedForward {
    /// A part for tokens of `width` columns with `inner` columns inside.
    pub(crate) fn new(
        width: usize,
        inner: usize,
        activation: Option<BlockActivation>,
        init: &mut ParameterInit,
    ) -> Self {
        Self {
            inner: init.linear(width, inner),
            outer: init.linear(inner, width),
            activation,
        }
    }

    /// What the loops for CPU tensors need, where they know the activation.
    #[cfg(feature = "flex")]
    pub(crate) fn cpu_part(&self) -> Option<PartKind<'_>> {
        let slope = match self.activation {
            None => 1.0,
            Some(BlockActivation::Relu) => 0.0,
            Some(BlockActivation::LeakyRelu) => LEAKY_SLOPE,
            Some(BlockActivation::Gelu) => return None,
        };
        let layers = [&self.inner, &self.outer];
        Some(PartKind::FeedForward { layers, slope })
    }

    /// Multiply-adds for `t` tokens.
    pub(crate) fn cost(&self, t: usize) -> PartCost {
        let layers = [&self.inner, &self.outer];
        let dense = layers.map(|layer| layer.weight.shape().num_elements());
        PartCost::inner(t * dense.iter().sum::<usize>())
    }

    /// # Shapes
    /// - `tokens`: `[E, T, D]`, returns the same
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let inner = dense(&self.inner, tokens);
        let activated = match self.activation {
            None => inner,
            Some(BlockActivation::Relu) => relu(inner),
            Some(BlockActivation::Gelu) => gelu(inner),
            Some(BlockActivation::LeakyRelu) => leaky_relu(inner, LEAKY_SLOPE),
        };
        dense(&self.outer, activated)
    }
}
