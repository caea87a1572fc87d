//! Self-attention with softmax, of all tokens of an episode or of the first R of its T.

use std::borrow::Cow;

use faer::{MatMut, MatRef};

use super::products::{Accum, DenseGradient, DenseLayer, matrix, matrix_mut, multiply};
use super::rows::{add_to_first, first_of_each, softmax, softmax_backward};

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
    /// R: tokens of an episode, from the first, that attend.
    pub(super) wanted: usize,
}

/// What the way back needs.
#[derive(Debug)]
pub(super) struct Attended {
    /// `[E R, Q]`.
    query: Vec<f32>,
    /// `[E T, Q]`.
    key: Vec<f32>,
    /// `[E T, V]`.
    value: Vec<f32>,
    /// `[E, heads, R, T]`.
    weights: Vec<f32>,
    /// `[E R, V]`.
    mixed: Vec<f32>,
}

impl Attention {
    /// Adds the result without the last bias to `out`.
    ///
    /// # Shapes
    /// - `input`: `[E T, D]`; `out`: `[E R, D]`
    /// - `penalty`: `[E, T]`, subtracted from the scores of a token
    pub(super) fn forward(
        &self,
        input: &[f32],
        penalty: Option<&[f32]>,
        out: &mut [f32],
    ) -> Attended {
        let [key, value] = [&self.key, &self.value].map(|layer| layer.forward(input));
        let query = self.query.forward(&self.of_wanted(input));
        let mut weights = vec![0.0; self.n_weights()];
        self.for_each_head(|at| {
            let keys = at.of_all(&key).transpose();
            let scores = at.weights_of_mut(&mut weights);
            let factor = self.score_factor();
            multiply(scores, Accum::Replace, at.of_wanted(&query), keys, factor);
        });
        let (t, rows_each) = (self.tokens, self.heads * self.wanted);
        let penalty = penalty.map(|penalty| (penalty, rows_each));
        softmax(&mut weights, t, penalty);
        let n_mixed = self.episodes * self.wanted * self.value.n_outputs();
        let mut mixed = vec![0.0; n_mixed];
        self.for_each_head(|at| {
            let values = at.of_all(&value);
            let mixed = at.of_wanted_mut(&mut mixed);
            multiply(mixed, Accum::Replace, at.weights_of(&weights), values, 1.0);
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
    ///
    /// # Shapes
    /// - `input`, `out`: `[E T, D]`; `gradient`: `[E R, D]`
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
            let weights = at.weights_of(&seen.weights).transpose();
            let mixed = at.of_wanted(&mixed);
            let value = at.of_all_mut(&mut value);
            multiply(value, Accum::Replace, weights, mixed, 1.0);
            let values = at.of_all(&seen.value).transpose();
            let scores = at.weights_of_mut(&mut scores);
            multiply(scores, Accum::Replace, mixed, values, 1.0);
        });
        softmax_backward(&mut scores, &seen.weights, self.tokens);
        let [mut query, mut key] = [&seen.query, &seen.key].map(|seen| vec![0.0; seen.len()]);
        self.for_each_head(|at| {
            let (scores, factor) = (at.weights_of(&scores), self.score_factor());
            let keys = at.of_all(&seen.key);
            let query = at.of_wanted_mut(&mut query);
            multiply(query, Accum::Replace, scores, keys, factor);
            let queries = at.of_wanted(&seen.query);
            let key = at.of_all_mut(&mut key);
            multiply(key, Accum::Replace, scores.transpose(), queries, factor);
        });
        self.key.input_gradient(&key, out, how);
        self.value.input_gradient(&value, out, Accum::Add);
        self.add_query_gradient(&query, out);
        [
            self.query.gradient(&self.of_wanted(input), &query),
            self.key.gradient(input, &key),
            self.value.gradient(input, &value),
            output,
        ]
    }

    fn add_query_gradient(&self, query: &[f32], out: &mut [f32]) {
        if self.wanted == self.tokens {
            self.query.input_gradient(query, out, Accum::Add);
            return;
        }
        let columns = self.query.n_inputs();
        let mut of_wanted = vec![0.0; self.episodes * self.wanted * columns];
        (self.query).input_gradient(query, &mut of_wanted, Accum::Replace);
        add_to_first(out, &of_wanted, self.episodes);
    }

    /// The rows of the tokens that attend.
    fn of_wanted<'a>(&self, rows: &'a [f32]) -> Cow<'a, [f32]> {
        first_of_each(rows, self.episodes, [self.tokens, self.wanted])
    }

    /// 1 / sqrt(width of a head's queries).
    fn score_factor(&self) -> f32 {
        let width = self.query.n_outputs() / self.heads;
        1.0 / (width as f32).sqrt()
    }

    fn n_weights(&self) -> usize {
        self.episodes * self.heads * self.wanted * self.tokens
    }

    fn for_each_head(&self, mut work: impl FnMut(EpisodeHead)) {
        for number in 0..self.episodes * self.heads {
            work(EpisodeHead {
                episode: number / self.heads,
                head: number % self.heads,
                n_episodes: self.episodes,
                n_heads: self.heads,
                n_wanted: self.wanted,
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
    n_episodes: usize,
    n_heads: usize,
    n_wanted: usize,
    n_tokens: usize,
}

impl EpisodeHead {
    /// The episode's T rows of `[E T, heads · width]`, and of them the head's columns.
    fn of_all(self, rows: &[f32]) -> MatRef<'_, f32> {
        self.columns(rows, self.n_tokens)
    }

    /// As [`of_all`](Self::of_all), to be changed.
    fn of_all_mut(self, rows: &mut [f32]) -> MatMut<'_, f32> {
        self.columns_mut(rows, self.n_tokens)
    }

    /// The episode's R rows of `[E R, heads · width]`, and of them the head's columns.
    fn of_wanted(self, rows: &[f32]) -> MatRef<'_, f32> {
        self.columns(rows, self.n_wanted)
    }

    /// As [`of_wanted`](Self::of_wanted), to be changed.
    fn of_wanted_mut(self, rows: &mut [f32]) -> MatMut<'_, f32> {
        self.columns_mut(rows, self.n_wanted)
    }

    fn columns(self, rows: &[f32], n: usize) -> MatRef<'_, f32> {
        let columns = rows.len() / (self.n_episodes * n);
        let width = columns / self.n_heads;
        matrix(rows, columns).submatrix(self.episode * n, self.head * width, n, width)
    }

    fn columns_mut(self, rows: &mut [f32], n: usize) -> MatMut<'_, f32> {
        let columns = rows.len() / (self.n_episodes * n);
        let width = columns / self.n_heads;
        matrix_mut(rows, columns).submatrix_mut(self.episode * n, self.head * width, n, width)
    }

    /// Its R x T of `[E, heads, R, T]`.
    fn weights_of(self, weights: &[f32]) -> MatRef<'_, f32> {
        matrix(weights, self.n_tokens).subrows(self.first_weights(), self.n_wanted)
    }

    /// As [`weights_of`](Self::weights_of), to be changed.
    fn weights_of_mut(self, weights: &mut [f32]) -> MatMut<'_, f32> {
        matrix_mut(weights, self.n_tokens).subrows_mut(self.first_weights(), self.n_wanted)
    }

    fn first_weights(self) -> usize {
        (self.episode * self.n_heads + self.head) * self.n_wanted
    }
}
