//! Self-attention with softmax.

use burn::tensor::Shape;

use super::dense::{CpuTensor, DenseGradient, DenseLayer, product, rows_of, values, values_mut};
use super::rows::{add, add_bias_and_scale, scale, softmax, softmax_backward};

/// The projections and the sizes.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    pub(super) query: DenseLayer,
    pub(super) key: DenseLayer,
    pub(super) value: DenseLayer,
    pub(super) output: DenseLayer,
    pub(super) heads: usize,
    pub(super) episodes: usize,
    pub(super) tokens: usize,
}

/// What the way back needs.
#[derive(Debug)]
pub(super) struct Attended {
    /// `[E T, Q]`, divided by the root of the head's width.
    query: CpuTensor,
    /// `[E T, Q]`.
    key: CpuTensor,
    /// `[E T, V]`.
    value: CpuTensor,
    /// `[E, heads, T, T]`.
    weights: CpuTensor,
    /// `[E T, V]`.
    mixed: CpuTensor,
}

impl Attention {
    /// Returns the result without the last bias.
    ///
    /// # Shapes
    /// - `input`: `[E T, D]`, returns the same
    /// - `penalty`: `[E, T]`, subtracted from the scores of a token
    pub(super) fn forward(
        &self,
        input: &CpuTensor,
        penalty: Option<&[f32]>,
    ) -> (CpuTensor, Attended) {
        let project = |layer: &DenseLayer, factor: f32| {
            let mut rows = layer.product(input);
            add_bias_and_scale(values_mut(&mut rows), layer.bias(), factor);
            rows
        };
        let query = project(&self.query, self.score_factor());
        let key = project(&self.key, 1.0);
        let value = project(&self.value, 1.0);
        let mut weights = product(&self.split(&query), &self.split(&key).transpose(2, 3));
        let (t, rows_each) = (self.tokens, self.heads * self.tokens);
        let penalty = penalty.map(|penalty| (penalty, rows_each));
        softmax(values_mut(&mut weights), t, penalty);
        let mixed = self.join(&product(&weights, &self.split(&value)));
        let out = self.output.product(&mixed);
        let attended = Attended {
            query,
            key,
            value,
            weights,
            mixed,
        };
        (out, attended)
    }

    /// Returns the gradient of the input, and those of the projections.
    pub(super) fn backward(
        &self,
        input: &CpuTensor,
        seen: &Attended,
        gradient: &CpuTensor,
    ) -> (CpuTensor, [DenseGradient; 4]) {
        let output = self.output.gradient(&seen.mixed, gradient);
        let mixed = self.output.input_gradient(gradient);
        let mixed = self.split(&mixed);
        let value = self.join(&product(&seen.weights.transpose(2, 3), &mixed));
        let mut scores = product(&mixed, &self.split(&seen.value).transpose(2, 3));
        softmax_backward(values_mut(&mut scores), values(&seen.weights), self.tokens);
        let mut query = self.join(&product(&scores, &self.split(&seen.key)));
        scale(values_mut(&mut query), self.score_factor());
        let key = self.join(&product(&scores.transpose(2, 3), &self.split(&seen.query)));

        let mut of_input = self.query.input_gradient(&query);
        for (layer, gradient) in [(&self.key, &key), (&self.value, &value)] {
            add(
                values_mut(&mut of_input),
                values(&layer.input_gradient(gradient)),
            );
        }
        let gradients = [
            self.query.gradient(input, &query),
            self.key.gradient(input, &key),
            self.value.gradient(input, &value),
            output,
        ];
        (of_input, gradients)
    }

    /// 1 / sqrt(width of a head's queries).
    fn score_factor(&self) -> f32 {
        let width = self.query.bias().len() / self.heads;
        1.0 / (width as f32).sqrt()
    }

    /// `[E T, heads · width]` as `[E, heads, T, width]`, without a copy.
    fn split(&self, rows: &CpuTensor) -> CpuTensor {
        let width = values(rows).len() / (self.episodes * self.tokens * self.heads);
        let shape = Shape::new([self.episodes, self.tokens, self.heads, width]);
        rows.reshape(shape).transpose(1, 2)
    }

    /// The way back from [`split`](Self::split), in one copy.
    fn join(&self, heads: &CpuTensor) -> CpuTensor {
        let (t, n_heads) = (self.tokens, self.heads);
        let heads = values(heads);
        let width = heads.len() / (self.episodes * t * n_heads);
        let mut rows = Vec::with_capacity(heads.len());
        for episode in heads.chunks_exact(n_heads * t * width) {
            for token in 0..t {
                for head in episode.chunks_exact(t * width) {
                    rows.extend_from_slice(&head[token * width..][..width]);
                }
            }
        }
        rows_of(rows, n_heads * width)
    }
}
