//! The paper's reason for self-attention, as layers with given weights (section 4.2,
//! appendix A): one layer makes the step of a linear head, two layers use unlabelled samples.
//!
//! Tokens are laid out as everywhere; the codes are rows of the identity, so that every
//! projection is a few blocks of zeros and ones:
//!
//! ```text
//!                  label (N)  "no label"  weight (N)  embedding (A)
//! weight token i:  [   0    |     0     |   mu_i    |     0     ]
//! labelled:        [  xi_c  |     0     |    0      |     e     ]
//! unlabelled:      [   0    |     1     |    0      |     e     ]
//! ```

mod start;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor};

pub(crate) use start::construction_start;

use crate::{Attention, Pass, TokenEmbeddings};

/// Score that decides a softmax whatever the similarities are.
const DECISIVE: f64 = 1e4;

/// The two attention layers for one size of episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Construction {
    /// N.
    pub ways: usize,
    /// A: columns of an embedding.
    pub features: usize,
    /// Beta of the first layer: how much a similar sample outweighs another one.
    pub similarity_sharpness: f64,
    /// Beta of the second layer: how much a sample of the class outweighs another one. An
    /// unlabelled sample of which the first layer was sure with p counts exp(beta (p - 1)).
    pub label_sharpness: f64,
}

/// What the two layers make of a support set.
#[derive(Clone, Debug)]
pub struct SemiSupervised {
    /// `[E, S, N]`: each sample's label, soft where the first layer wrote it.
    pub labels: Tensor<3>,
    /// `[E, N, A]`: the rows of the linear head.
    pub rows: Tensor<3>,
}

impl Construction {
    /// D = 2 N + 1 + A.
    pub fn width(&self) -> usize {
        self.embedding_at() + self.features
    }

    fn no_label_at(&self) -> usize {
        self.ways
    }

    fn weight_codes_at(&self) -> usize {
        self.ways + 1
    }

    fn embedding_at(&self) -> usize {
        2 * self.ways + 1
    }

    /// The sequence: N weight tokens, then the samples.
    ///
    /// # Shapes
    /// - `labels`: `[E, S]`, 0..=N, N for "no label"; `embeddings`: `[E, S, A]`
    /// - returns: `[E, N + S, D]`
    pub fn tokens(&self, labels: Tensor<2, Int>, embeddings: Tensor<3>) -> Tensor<3> {
        let codes = Tensor::<2>::eye(self.embedding_at(), &embeddings.device());
        let label_codes = codes.clone().narrow(0, 0, self.ways + 1);
        let weight_codes = codes.narrow(0, self.weight_codes_at(), self.ways);
        TokenEmbeddings::from_codes(label_codes, weight_codes).sequence(
            labels,
            embeddings,
            self.width(),
        )
    }

    /// The supervised layer: weight token i finds the samples that carry label i and takes
    /// the mean of their embeddings.
    ///
    /// Queries read the weight code, keys the label code. A weight token's own key is zero,
    /// so that it stays in the softmax with weight exp(-beta) and value zero.
    pub fn supervised_layer(&self, device: &Device) -> Attention {
        let (d, n, a) = (self.width(), self.ways, self.features);
        let one = |size| Tensor::<2>::eye(size, device);
        // Attention divides by the root of the head width.
        let sharpness = self.label_sharpness * (n as f64).sqrt();
        Attention::from_projections(
            projection(d, n, [(self.weight_codes_at(), 0, one(n) * sharpness)]),
            projection(d, n, [(0, 0, one(n))]),
            projection(d, a, [(self.embedding_at(), 0, one(a))]),
            projection(a, d, [(0, self.embedding_at(), one(a))]),
        )
    }

    /// The labelling layer: an unlabelled sample takes over the labels of similar samples.
    ///
    /// Scores are `beta <e_a, e_b>`, and decisively low for unlabelled keys. A labelled sample's
    /// value is its label code minus "no label": the attention weights sum to one, so that
    /// adding the result to an unlabelled token replaces "no label" by the mixed label.
    /// Weight tokens have value zero. All tokens that are not unlabelled attend to those
    /// alone, which is how the same residual connection leaves them as they are.
    pub fn labelling_layer(&self, device: &Device) -> Attention {
        let (d, n, a) = (self.width(), self.ways, self.features);
        let one = |size| Tensor::<2>::eye(size, device);
        let all = |rows, value: f64| Tensor::<2>::ones([rows, 1], device) * value;
        let (none, weights, embedding) = (
            self.no_label_at(),
            self.weight_codes_at(),
            self.embedding_at(),
        );
        // Two columns after the embedding: "attend to weight tokens", "avoid unlabelled ones".
        let (to_weights, avoid, scored) = (a, a + 1, a + 2);
        let scale = (scored as f64).sqrt();
        let decisive = DECISIVE * scale;
        let query = [
            (embedding, 0, one(a) * (self.similarity_sharpness * scale)),
            (0, to_weights, all(n, decisive)),
            (none, to_weights, all(1, -decisive)),
            (weights, to_weights, all(n, decisive)),
            (0, avoid, all(embedding, decisive)),
        ];
        let key = [
            (embedding, 0, one(a)),
            (weights, to_weights, all(n, 1.0)),
            (none, avoid, all(1, -1.0)),
        ];
        Attention::from_projections(
            projection(d, scored, query),
            projection(d, scored, key),
            projection(d, n + 1, [(0, 0, one(n)), (0, none, all(n, -1.0))]),
            projection(n + 1, d, [(0, 0, one(n + 1))]),
        )
    }

    /// The supervised layer alone: means over the labelled samples of each class.
    ///
    /// # Shapes
    /// - `labels`: `[E, S]`, 0..=N, N for "no label"; `embeddings`: `[E, S, A]`
    /// - returns: `[E, N, A]`
    pub fn supervised(&self, labels: Tensor<2, Int>, embeddings: Tensor<3>) -> Tensor<3> {
        let layer = self.supervised_layer(&embeddings.device());
        self.rows(residual(&layer, self.tokens(labels, embeddings)))
    }

    /// Both layers: means over the labelled samples and those that the first layer labels.
    ///
    /// `embeddings` must have [`unit_length`]: attention compares by scalar products, and
    /// only then are these cosines.
    ///
    /// # Shapes
    /// - `labels`: `[E, S]`, 0..=N, N for "no label"; `embeddings`: `[E, S, A]`
    pub fn semi_supervised(&self, labels: Tensor<2, Int>, embeddings: Tensor<3>) -> SemiSupervised {
        let device = embeddings.device();
        let [_, s, _] = embeddings.dims();
        let tokens = self.tokens(labels, embeddings);
        let labelled = residual(&self.labelling_layer(&device), tokens);
        let samples = labelled.clone().narrow(1, self.ways, s);
        SemiSupervised {
            labels: samples.narrow(2, 0, self.ways),
            rows: self.rows(residual(&self.supervised_layer(&device), labelled)),
        }
    }

    /// The embedding columns of the weight tokens, which are zero at the start.
    fn rows(&self, tokens: Tensor<3>) -> Tensor<3> {
        let weight_tokens = tokens.narrow(1, 0, self.ways);
        weight_tokens.narrow(2, self.embedding_at(), self.features)
    }
}

/// Self-attention with a residual connection.
fn residual(layer: &Attention, tokens: Tensor<3>) -> Tensor<3> {
    let mixed = layer.forward(
        tokens.clone(),
        tokens.clone(),
        None,
        &mut Pass::evaluation(),
    );
    tokens + mixed
}

/// A projection without bias that is zero except for blocks at (input, output).
fn projection<const B: usize>(
    inputs: usize,
    outputs: usize,
    blocks: [(usize, usize, Tensor<2>); B],
) -> Linear {
    let device = blocks[0].2.device();
    let mut weight = Tensor::<2>::zeros([inputs, outputs], &device);
    for (input, output, block) in blocks {
        let [rows, columns] = block.dims();
        weight = weight.slice_assign([input..input + rows, output..output + columns], block);
    }
    Linear {
        weight: Param::from_tensor(weight),
        bias: None,
    }
}

/// Embeddings divided by their length.
///
/// # Shapes
/// - `embeddings`: `[E, S, A]`, returned in the same shape
pub fn unit_length(embeddings: Tensor<3>) -> Tensor<3> {
    let squares = embeddings.clone().square().sum_dim(2);
    embeddings / squares.sqrt().clamp_min(1e-12)
}

/// A linear head after one gradient step from zero on the mean cross-entropy of the support
/// set: row i is `eta / S` times the sum of `(y_i - 1 / N) e` (appendix A).
///
/// # Shapes
/// - `labels`: `[E, S]`, 0..N; `embeddings`: `[E, S, A]`
/// - returns: `[E, N, A]`, without autodiff
pub fn gradient_step(
    labels: Tensor<2, Int>,
    embeddings: Tensor<3>,
    ways: usize,
    eta: f64,
) -> Tensor<3> {
    let plain = embeddings.device();
    let device = plain.clone().autodiff();
    let [e, s, a] = embeddings.dims();
    let embeddings = Tensor::<3>::from_data(embeddings.into_data(), &device);
    let labels = Tensor::<2, Int>::from_data(labels.into_data(), &device);
    let head = Tensor::<3>::zeros([e, ways, a], &device).require_grad();
    let logits = embeddings.matmul(head.clone().transpose());
    let targets = labels.one_hot::<3>(ways).float();
    // Summed over episodes: each has its own head.
    let loss = (log_softmax(logits, 2) * targets).sum() / -(s as f64);
    let gradient = head.grad(&loss.backward());
    gradient.map_or_else(
        || Tensor::zeros([e, ways, a], &plain),
        |gradient| gradient * -eta,
    )
}

#[cfg(test)]
mod tests;
