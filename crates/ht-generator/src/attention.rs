//! Multi-head self-attention with free widths for queries and keys and for values.
//!
//! Burn's own attention ties all widths to the token width; the paper's fractions
//! (appendix B) need them apart.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use crate::ParameterInit;

/// Self-attention over all tokens, without mask and positions.
#[derive(Module, Debug)]
pub struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    /// Attention for tokens of `width` columns.
    pub fn new(
        width: usize,
        query_key: usize,
        value: usize,
        heads: usize,
        init: &mut ParameterInit,
    ) -> Self {
        Self {
            query: init.linear(width, query_key),
            key: init.linear(width, query_key),
            value: init.linear(width, value),
            output: init.linear(value, width),
            heads,
        }
    }

    /// # Shapes
    /// - `tokens`: `[E, T, D]`, returns the same
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [e, t, _] = tokens.dims();
        let split = |x: Tensor<3>| {
            let [_, _, columns] = x.dims();
            x.reshape([e, t, self.heads, columns / self.heads])
                .swap_dims(1, 2)
        };
        let q = split(self.query.forward(tokens.clone()));
        let k = split(self.key.forward(tokens.clone()));
        let v = split(self.value.forward(tokens));
        let [_, _, _, head_width] = q.dims();
        let scores = q.matmul(k.transpose()) / (head_width as f64).sqrt();
        let mixed = softmax(scores, 3).matmul(v);
        let [_, _, _, value_width] = mixed.dims();
        let joined = mixed
            .swap_dims(1, 2)
            .reshape([e, t, self.heads * value_width]);
        self.output.forward(joined)
    }
}
