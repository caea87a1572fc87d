//! Self-attention with softmax.

use faer::{MatMut, MatRef};

use super::products::{Accum, DenseGradient, DenseLayer, matrix, matrix_mut, multiply};
use super::rows::{softmax, softmax_backward};

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
    /// `[E T, Q]`.
    query: Vec<f32>,
    /// `[E T, Q]`.
    key: Vec<f32>,
    /// `[E T, V]`.
    value: Vec<f32>,
    /// `[E, heads, T, T]`.
    weights: Vec<f32>,
    /// `[E T, V]`.
    mixed: Vec<f32>,
}

impl Attention {
    /// Adds the result without the last bias to `out`.
    ///
    /// # Shapes
    /// - `input`, `out`: `[E T, D]`
    /// - `penalty`: `[E, T]`, subtracted from the scores of a token
    pub(super) fn forward(
        &self,
        input: &[f32],
        penalty: Option<&[f32]>,
        out: &mut [f32],
    ) -> Attended {
        let [query, key, value] =
            [&self.query, &self.key, &self.value].map(|layer| layer.forward(input));
        let mut weights = vec![0.0; self.n_weights()];
        self.for_each_head(|at| {
            let keys = at.columns_of(&key).transpose();
            let scores = at.square_of_mut(&mut weights);
            let factor = self.score_factor();
            multiply(scores, Accum::Replace, at.columns_of(&query), keys, factor);
        });
        let (t, rows_each) = (self.tokens, self.heads * self.tokens);
        let penalty = penalty.map(|penalty| (penalty, rows_each));
        softmax(&mut weights, t, penalty);
        let mut mixed = vec![0.0; value.len()];
        self.for_each_head(|at| {
            let values = at.columns_of(&value);
            let mixed = at.columns_of_mut(&mut mixed);
            multiply(mixed, Accum::Replace, at.square_of(&weights), values, 1.0);
        });
        self.output.add_product(&mixed, out);
        Attended {
            query,
            key,
            value,
            weights,
            mixed,
        }
    }

    /// Writes the gradient of the input into `out`, or adds it; returns those of the
    /// projections.
    pub(super) fn backward(
        &self,
        input: &[f32],
        seen: &Attended,
        gradient: &[f32],
        out: &mut [f32],
        how: Accum,
    ) -> [DenseGradient; 4] {
        let output = self.output.gradient(&seen.mixed, gradient);
        let mut mixed = vec![0.0; seen.mixed.len()];
        self.output
            .input_gradient(gradient, &mut mixed, Accum::Replace);
        let mut value = vec![0.0; seen.value.len()];
        let mut scores = vec![0.0; self.n_weights()];
        self.for_each_head(|at| {
            let weights = at.square_of(&seen.weights).transpose();
            let mixed = at.columns_of(&mixed);
            let value = at.columns_of_mut(&mut value);
            multiply(value, Accum::Replace, weights, mixed, 1.0);
            let values = at.columns_of(&seen.value).transpose();
            let scores = at.square_of_mut(&mut scores);
            multiply(scores, Accum::Replace, mixed, values, 1.0);
        });
        softmax_backward(&mut scores, &seen.weights, self.tokens);
        let [mut query, mut key] = [(); 2].map(|()| vec![0.0; seen.query.len()]);
        self.for_each_head(|at| {
            let (scores, factor) = (at.square_of(&scores), self.score_factor());
            let keys = at.columns_of(&seen.key);
            let query = at.columns_of_mut(&mut query);
            multiply(query, Accum::Replace, scores, keys, factor);
            let queries = at.columns_of(&seen.query);
            let key = at.columns_of_mut(&mut key);
            multiply(key, Accum::Replace, scores.transpose(), queries, factor);
        });
        self.query.input_gradient(&query, out, how);
        self.key.input_gradient(&key, out, Accum::Add);
        self.value.input_gradient(&value, out, Accum::Add);
        [
            self.query.gradient(input, &query),
            self.key.gradient(input, &key),
            self.value.gradient(input, &value),
            output,
        ]
    }

    /// 1 / sqrt(width of a head's queries).
    fn score_factor(&self) -> f32 {
        let width = self.query.n_outputs() / self.heads;
        1.0 / (width as f32).sqrt()
    }

    fn n_weights(&self) -> usize {
        self.episodes * self.heads * self.tokens * self.tokens
    }

    fn for_each_head(&self, mut work: impl FnMut(EpisodeHead)) {
        for number in 0..self.episodes * self.heads {
            work(EpisodeHead {
                episode: number / self.heads,
                head: number % self.heads,
                n_rows: self.episodes * self.tokens,
                n_heads: self.heads,
                n_tokens: self.tokens,
            });
        }
    }
}

/// Where the values of one head of one episode stand.
#[derive(Clone, Copy)]
struct EpisodeHead {
    episode: usize,
    head: usize,
    n_rows: usize,
    n_heads: usize,
    n_tokens: usize,
}

impl EpisodeHead {
    /// The episode's T rows of `[E T, heads · width]`, and of them the head's columns.
    fn columns_of(self, rows: &[f32]) -> MatRef<'_, f32> {
        let columns = rows.len() / self.n_rows;
        let width = columns / self.n_heads;
        let (first, t) = (self.episode * self.n_tokens, self.n_tokens);
        matrix(rows, columns).submatrix(first, self.head * width, t, width)
    }

    /// As [`columns_of`](Self::columns_of), to be changed.
    fn columns_of_mut(self, rows: &mut [f32]) -> MatMut<'_, f32> {
        let columns = rows.len() / self.n_rows;
        let width = columns / self.n_heads;
        let (first, t) = (self.episode * self.n_tokens, self.n_tokens);
        matrix_mut(rows, columns).submatrix_mut(first, self.head * width, t, width)
    }

    /// Its T x T of `[E, heads, T, T]`.
    fn square_of(self, weights: &[f32]) -> MatRef<'_, f32> {
        let (first, t) = (self.first_of_square(), self.n_tokens);
        matrix(weights, t).subrows(first, t)
    }

    /// As [`square_of`](Self::square_of), to be changed.
    fn square_of_mut(self, weights: &mut [f32]) -> MatMut<'_, f32> {
        let (first, t) = (self.first_of_square(), self.n_tokens);
        matrix_mut(weights, t).subrows_mut(first, t)
    }

    fn first_of_square(self) -> usize {
        (self.episode * self.n_heads + self.head) * self.n_tokens
    }
}
