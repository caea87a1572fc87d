//! The construction as a start for training: the first heads of the last two blocks begin as its
//! two layers, everything else as always.
//!
//! A random transformer must find by training that an unlabelled sample is worth comparing with
//! labelled ones; until then 25 tokens without a label only hide the five that have one.

use burn::tensor::Tensor;

use crate::attention::FirstHead;
use crate::{Attention, TokenEmbeddings, Transformer};

/// How much an unlabelled key is avoided.
const AVOID: f64 = 30.0;

/// Starts the last block as the supervised layer and the one before it, if there is one, as the
/// labelling layer.
///
/// `features`: columns behind the embedding that hold a sample's features.
pub(crate) fn construction_start(
    transformer: Transformer,
    embeddings: &TokenEmbeddings,
    features: usize,
) -> Transformer {
    let labels = embeddings.label_embeddings();
    let last = transformer.n_blocks() - 1;
    transformer.map_attention(|block, attention| {
        if block == last {
            let head = supervised_head(&attention, &labels, features);
            attention.with_first_head(head)
        } else if block + 1 == last {
            let head = labelling_head(&attention, &labels, features);
            attention.with_first_head(head)
        } else {
            attention
        }
    })
}

/// A block of ones on the diagonal from (`row`, 0) on, as long as both sides allow.
fn diagonal(width: usize, columns: usize, row: usize, n: usize, like: &Tensor<2>) -> Tensor<2> {
    let n = n.min(columns);
    let zeros = Tensor::<2>::zeros([width, columns], &like.device());
    zeros.slice_assign([row..row + n, 0..n], Tensor::eye(n, &like.device()))
}

/// Tokens with the same label code find each other and exchange features.
fn supervised_head(attention: &Attention, labels: &Tensor<2>, features: usize) -> FirstHead {
    let [_, embedding] = labels.dims();
    let [query, value] = attention.head_widths();
    let width = attention.width();
    let by_code = diagonal(width, query, 0, embedding, labels);
    FirstHead {
        query: by_code.clone(),
        query_bias: Tensor::zeros([query], &labels.device()),
        key: by_code,
        value: diagonal(width, value, embedding, features, labels),
        output: diagonal(width, value, embedding, features, labels).transpose(),
    }
}

/// Tokens with similar features find each other, unlabelled ones are avoided, and the label
/// codes of what was found are taken over.
fn labelling_head(attention: &Attention, labels: &Tensor<2>, features: usize) -> FirstHead {
    let [n_labels, embedding] = labels.dims();
    let [query, value] = attention.head_widths();
    let width = attention.width();
    let device = labels.device();
    // The last column of queries and keys says "avoid".
    let compared = diagonal(width, query - 1, embedding, features, labels);
    let none = labels.clone().narrow(0, n_labels - 1, 1);
    let length = none.clone().square().sum();
    let avoided = (none / length.unsqueeze::<2>()).transpose();
    let rest = Tensor::zeros([width - embedding, 1], &device);
    let avoided = Tensor::cat(vec![avoided * -1.0, rest], 0);
    let scale = (query as f64).sqrt();
    let column = Tensor::<2>::zeros([width, 1], &device);
    let bias = Tensor::<1>::zeros([query - 1], &device);
    FirstHead {
        query: Tensor::cat(vec![compared.clone(), column], 1),
        query_bias: Tensor::cat(vec![bias, Tensor::full([1], AVOID * scale, &device)], 0),
        key: Tensor::cat(vec![compared, avoided], 1),
        value: diagonal(width, value, 0, embedding, labels),
        output: diagonal(width, value, 0, embedding, labels).transpose(),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int};

    use super::*;
    use crate::{
        Architecture, AttentionWeighting, LogitsTokens, NormOrder, ParameterInit, Pass, Size,
        TransformerConfig,
    };

    const EMBEDDING: usize = 32;
    const FEATURES: usize = 20;
    const WIDTH: usize = EMBEDDING + FEATURES;

    /// One labelled sample of each of two classes, and an unlabelled one that looks like the
    /// second; two weight tokens in front.
    fn tokens(init: &mut ParameterInit, device: &Device) -> (TokenEmbeddings, Tensor<3>) {
        let embeddings = TokenEmbeddings::new(2, 2, EMBEDDING, LogitsTokens::FromLabels, init);
        let images = init.normal([2, FEATURES]).val();
        let first = images.clone().narrow(0, 0, 1);
        let second = images.narrow(0, 1, 1);
        let features = Tensor::cat(vec![first, second.clone(), second], 0).unsqueeze::<3>();
        let labels = Tensor::<2, Int>::from_data([[0, 1, 2]], device);
        let tokens = embeddings.sequence(labels, features, WIDTH);
        (embeddings, tokens)
    }

    fn attention(init: &mut ParameterInit) -> Attention {
        Attention::new(WIDTH, WIDTH, WIDTH, 1, AttentionWeighting::Softmax, init)
    }

    fn cosine(a: Tensor<1>, b: Tensor<1>) -> f32 {
        let length = |x: &Tensor<1>| x.clone().square().sum().sqrt();
        let lengths = length(&a) * length(&b);
        ((a * b).sum() / lengths).into_scalar()
    }

    fn columns(tokens: &Tensor<3>, token: usize, from: usize, n: usize) -> Tensor<1> {
        tokens
            .clone()
            .narrow(1, token, 1)
            .narrow(2, from, n)
            .reshape([n])
    }

    #[test]
    fn an_unlabelled_sample_takes_the_label_of_its_like() {
        let device = Device::flex();
        let init = &mut ParameterInit::new(3, 0, &device);
        let (embeddings, tokens) = tokens(init, &device);
        let labels = embeddings.label_embeddings();
        let head = labelling_head(&attention(init), &labels, FEATURES);
        let mut pass = Pass::evaluation();
        let mixed = attention(init).with_first_head(head);
        let mixed = mixed.forward(tokens.clone(), tokens.clone(), None, &mut pass);
        let unlabelled = columns(&mixed, 4, 0, EMBEDDING);
        let code = |token| columns(&tokens, token, 0, EMBEDDING);
        assert!(
            cosine(unlabelled.clone(), code(3)) > 0.8,
            "its like is sample 2"
        );
        assert!(cosine(unlabelled, code(2)) < 0.6, "not sample 1");
    }

    #[test]
    fn a_weight_token_takes_the_features_of_its_class() {
        let device = Device::flex();
        let init = &mut ParameterInit::new(3, 0, &device);
        let (embeddings, tokens) = tokens(init, &device);
        let labels = embeddings.label_embeddings();
        let head = supervised_head(&attention(init), &labels, FEATURES);
        let mut pass = Pass::evaluation();
        let mixed = attention(init).with_first_head(head);
        let mixed = mixed.forward(tokens.clone(), tokens.clone(), None, &mut pass);
        for class in 0..2 {
            let row = columns(&mixed, class, EMBEDDING, FEATURES);
            let of = |sample| columns(&tokens, 2 + sample, EMBEDDING, FEATURES);
            assert!(cosine(row.clone(), of(class)) > 0.8, "class {class}");
            assert!(cosine(row, of(1 - class)) < 0.6, "class {class}");
        }
    }

    #[test]
    fn only_the_named_blocks_change() {
        let device = Device::flex();
        let config = TransformerConfig {
            blocks: 3,
            heads: 2,
            norm: NormOrder::Pre,
            query_key: Size::Fraction(1.0),
            value: Size::Fraction(1.0),
            attention: AttentionWeighting::Softmax,
            architecture: Architecture::Encoder,
            dropout: 0.0,
            feed_forward: None,
        };
        let embeddings = {
            let init = &mut ParameterInit::new(3, 0, &device);
            tokens(init, &device).0
        };
        let plain = Transformer::new(&config, WIDTH, &mut ParameterInit::new(4, 0, &device));
        let started = construction_start(plain.clone(), &embeddings, FEATURES);
        let init = &mut ParameterInit::new(5, 0, &device);
        let (_, tokens) = tokens(init, &device);
        let attention = |transformer: &Transformer| {
            let mut pass = Pass::evaluation().traced();
            let [_, n_tokens, _] = tokens.dims();
            transformer.forward(tokens.clone(), n_tokens, None, &mut pass);
            let trace = pass.into_trace();
            [1, 2, 3].map(|block| trace[&format!("block_{block}/attention")].clone())
        };
        let (before, after) = (attention(&plain), attention(&started));
        assert_eq!(before[0], after[0], "the first of three is as always");
        assert_ne!(before[1], after[1], "the second labels");
        assert_ne!(before[2], after[2], "the third takes means");
    }
}
