//! The transformer of one layer: encoder blocks in either norm order.
//!
//! `post` is the released code's order. `pre` normalises before each part and once at the
//! end; it trains several times faster (docs/results.md) and is the default of our configs.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, leaky_relu, relu};

use crate::{Attention, BlockActivation, NormOrder, ParameterInit, TransformerConfig};

/// Slope of the leaky ReLU for negative inputs, as in the released code.
const LEAKY_SLOPE: f64 = 0.1;

/// Attention and a feed-forward part, each with a residual connection and a norm.
#[derive(Module, Debug)]
pub struct TransformerBlock {
    attention: Attention,
    attention_norm: LayerNorm,
    inner: Linear,
    outer: Linear,
    feed_forward_norm: LayerNorm,
    #[module(skip)]
    order: NormOrder,
    #[module(skip)]
    activation: BlockActivation,
}

impl TransformerBlock {
    fn new(config: &TransformerConfig, width: usize, init: &mut ParameterInit) -> Self {
        let columns = |size: crate::Size| size.resolve(width, config.heads);
        let inner = columns(config.inner);
        Self {
            attention: Attention::new(
                width,
                columns(config.query_key),
                columns(config.value),
                config.heads,
                init,
            ),
            attention_norm: init.layer_norm(width),
            inner: init.linear(width, inner),
            outer: init.linear(inner, width),
            feed_forward_norm: init.layer_norm(width),
            order: config.norm,
            activation: config.activation,
        }
    }

    /// # Shapes
    /// - `tokens`: `[E, T, D]`, returns the same
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        match self.order {
            NormOrder::Pre => {
                let normed = self.attention_norm.forward(tokens.clone());
                let tokens = tokens + self.attention.forward(normed);
                let normed = self.feed_forward_norm.forward(tokens.clone());
                tokens + self.feed_forward(normed)
            }
            NormOrder::Post => {
                let sum = tokens.clone() + self.attention.forward(tokens);
                let tokens = self.attention_norm.forward(sum);
                let sum = tokens.clone() + self.feed_forward(tokens);
                self.feed_forward_norm.forward(sum)
            }
        }
    }

    fn feed_forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let inner = self.inner.forward(tokens);
        let activated = match self.activation {
            BlockActivation::Relu => relu(inner),
            BlockActivation::Gelu => gelu(inner),
            BlockActivation::LeakyRelu => leaky_relu(inner, LEAKY_SLOPE),
        };
        self.outer.forward(activated)
    }
}

/// Blocks one after another; the last operation is always a layer norm.
#[derive(Module, Debug)]
pub struct Transformer {
    blocks: Vec<TransformerBlock>,
    /// Only in `pre` order: `post` blocks end with a norm of their own.
    final_norm: Option<LayerNorm>,
}

impl Transformer {
    /// A transformer for tokens of `width` columns.
    pub fn new(config: &TransformerConfig, width: usize, init: &mut ParameterInit) -> Self {
        let blocks = (0..config.blocks)
            .map(|_| TransformerBlock::new(config, width, init))
            .collect();
        let final_norm = match config.norm {
            NormOrder::Pre => Some(init.layer_norm(width)),
            NormOrder::Post => None,
        };
        Self { blocks, final_norm }
    }

    /// # Shapes
    /// - `tokens`: `[E, T, D]`, returns the same
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let tokens = self
            .blocks
            .iter()
            .fold(tokens, |tokens, block| block.forward(tokens));
        match &self.final_norm {
            Some(norm) => norm.forward(tokens),
            None => tokens,
        }
    }
}
