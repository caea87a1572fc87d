//! Tokens: how samples and weight slices become one sequence (paper, figure 2).
//!
//! ```text
//! weight token:  [ weight embedding | 0 .................. ]   G of them, first
//! sample token:  [ label embedding  | features | 0 ....... ]   S of them
//!                  <-  embedding  ->                           width D
//! ```
//!
//! No positions: a class is known by its label embedding alone, a slice by its weight
//! embedding.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

use crate::{LogitsTokens, ParameterInit};

/// Label and weight embeddings of one layer's generator.
#[derive(Module, Debug)]
pub struct TokenEmbeddings {
    /// `[N + 1, embedding]`; the last row stands for "no label".
    labels: Param<Tensor<2>>,
    /// `[G, embedding]`.
    weights: Param<Tensor<2>>,
}

impl TokenEmbeddings {
    /// Embeddings for N ways and G slices, drawn from N(0, 1).
    pub fn new(
        ways: usize,
        n_slices: usize,
        embedding_width: usize,
        start: LogitsTokens,
        init: &mut ParameterInit,
    ) -> Self {
        let label_values = init.normal_values((ways + 1) * embedding_width);
        let weight_values = match start {
            LogitsTokens::Independent => init.normal_values(n_slices * embedding_width),
            LogitsTokens::FromLabels => label_values[..n_slices * embedding_width].to_vec(),
        };
        Self {
            labels: init.parameter(label_values, [ways + 1, embedding_width]),
            weights: init.parameter(weight_values, [n_slices, embedding_width]),
        }
    }

    /// Given embeddings: for constructions by hand.
    ///
    /// # Shapes
    /// - `labels`: `[N + 1, embedding]`, the last row for "no label"; `weights`: `[G, embedding]`
    pub fn from_codes(labels: Tensor<2>, weights: Tensor<2>) -> Self {
        Self {
            labels: Param::from_tensor(labels),
            weights: Param::from_tensor(weights),
        }
    }

    /// `[N + 1, embedding]`.
    pub(crate) fn label_embeddings(&self) -> Tensor<2> {
        self.labels.val().detach()
    }

    /// The input sequence of the transformer.
    ///
    /// # Shapes
    /// - `labels`: `[E, S]`, 0..=N; `features`: `[E, S, A]`
    /// - returns: `[E, G + S, D]` with D = `width`
    pub fn sequence(&self, labels: Tensor<2, Int>, features: Tensor<3>, width: usize) -> Tensor<3> {
        let [e, s, a] = features.dims();
        let weights = self.weights.val();
        let [g, embedding] = weights.dims();
        let like_features = (&features.device(), features.dtype());
        // A product with ones and zeros: the gradient of a selection is a loop on a GPU.
        let codes = self.labels.val().unsqueeze::<3>();
        let [_, n_codes, _] = codes.dims();
        let is_label = labels.one_hot::<3>(n_codes).float().cast(features.dtype());
        let label_embeddings = is_label.matmul(codes);
        let zeros = |rows, columns| Tensor::<3>::zeros([e, rows, columns], like_features);
        let mut samples = vec![label_embeddings, features];
        if width > embedding + a {
            samples.push(zeros(s, width - embedding - a));
        }
        let weights = weights.unsqueeze::<3>().expand([e, g, embedding]);
        let weights = Tensor::cat(vec![weights, zeros(g, width - embedding)], 2);
        Tensor::cat(vec![weights, Tensor::cat(samples, 2)], 1)
    }
}
