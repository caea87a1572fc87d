//! The loss of the method: cross-entropy of the query logits, and what can be added to it.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Int, Tensor, assert_shape};
use ht_cnn::Activations;
use ht_episodes::{EpisodeBatch, QuerySet};
use ht_generator::{ClassHead, Generation, Pass, WarmupHeads, WeightGenerator};
use serde::{Deserialize, Serialize};

/// What is added to plain cross-entropy; all zero where the section is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// Share of the target that is spread evenly over all labels.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Factor of [`Generation::variation`](ht_generator::Generation::variation).
    #[serde(default)]
    pub weight_variation: f64,
    /// Factor of [`Generation::squared_kernels`](ht_generator::Generation::squared_kernels) and of
    /// the same sum over the warm-up heads.
    #[serde(default)]
    pub squared_kernels: f64,
    /// Factor of the cross-entropy of the class head, which tells the real training classes of
    /// the support images apart, unlabelled ones too (released code, `shared_head_weight`). It is
    /// a mean over the images of a micro-batch.
    #[serde(default)]
    pub class_head: f64,
}

/// The loss of a batch of episodes and its parts.
#[derive(Clone, Debug)]
pub struct BatchLoss {
    /// `[1]`: what is minimised.
    pub total: Tensor<1>,
    /// `[1]`: cross-entropy, heads included.
    pub cross_entropy: Tensor<1>,
    /// `[1]` each: what every tensor adds by its weight variation and every kernel by its
    /// squares.
    pub penalties: Vec<Tensor<1>>,
    /// `[1]`: cross-entropy of the class head, if there is one.
    pub class_head: Option<Tensor<1>>,
    /// `[1]` each: cross-entropy of the warm-up heads, if there are any.
    pub heads: Vec<Tensor<1>>,
    /// `[E, Q, N]`.
    pub logits: Tensor<3>,
    /// `[E, Q, N]` each.
    pub head_logits: Vec<Tensor<3>>,
    /// Outputs of the convolution layers for the query images.
    pub activations: Vec<Activations>,
    /// The generated CNNs and their parts.
    pub generation: Generation,
}

/// Generates the CNNs of a batch, classifies its query images and measures the loss, at a
/// training step (which only the warm-up heads look at).
pub fn batch_loss(
    model: &WeightGenerator,
    batch: &EpisodeBatch,
    config: &LossConfig,
    step: u64,
    pass: &mut Pass,
) -> BatchLoss {
    let EpisodeBatch { support, query, .. } = batch;
    let smoothing = config.label_smoothing;
    let generation = model.generate_in(support, pass);
    let images = Activations::from_images(query.images.clone()).hide(query.hidden.clone());
    let mut activations = Vec::new();
    let logits = generation
        .cnn
        .classify_watched(images, |layer| activations.push(layer.clone()));
    let absent = support.absent.as_ref();
    let loss = |logits: &Tensor<3>| query_loss(logits, query, absent, smoothing);

    let real = loss(&logits);
    let (head_logits, heads, cross_entropy) = match model.warmup_heads() {
        None => (Vec::new(), Vec::new(), real),
        Some(warmup) => {
            let head_logits: Vec<_> = warmup
                .logits(&activations)
                .into_iter()
                .map(|logits| generation.cnn.without_absent(logits))
                .collect();
            let heads: Vec<_> = head_logits.iter().map(loss).collect();
            let weighted = heads.iter().cloned().chain([real]);
            let cross_entropy = weighted
                .zip(warmup.loss_weights(step))
                .map(|(loss, weight)| loss * weight)
                .reduce(|sum, term| sum + term)
                .expect("the real loss is one of them");
            (head_logits, heads, cross_entropy)
        }
    };
    let penalties = penalties(model.warmup_heads(), &generation, config);
    let features = generation.image_features.clone();
    let class_head = (model.class_head().zip(features))
        .map(|(head, features)| class_loss(model, head, features, batch, smoothing).loss);
    let of_classes = class_head.clone().map(|loss| loss * config.class_head);
    let total = (penalties.iter().cloned())
        .chain(of_classes)
        .fold(cross_entropy.clone(), |sum, term| sum + term);
    BatchLoss {
        total,
        cross_entropy,
        penalties,
        class_head,
        heads,
        logits,
        head_logits,
        activations,
        generation,
    }
}

/// What the class head makes of the support images.
pub(crate) struct ClassLoss {
    /// `[1]`: mean cross-entropy.
    pub(crate) loss: Tensor<1>,
    /// `[E, S, classes]`.
    pub(crate) logits: Tensor<3>,
}

/// The loss of the image encoder and its class head alone, with nothing generated (released code,
/// `pretrain_shared_feature`). The experiment must have both.
pub(crate) fn image_encoder_loss(
    model: &WeightGenerator,
    batch: &EpisodeBatch,
    config: &LossConfig,
    pass: &mut Pass,
) -> ClassLoss {
    let features = model.image_features(&batch.support.images, pass);
    let (head, features) = (model.class_head().zip(features)).expect("checked with the config");
    class_loss(model, head, features, batch, config.label_smoothing)
}

fn class_loss(
    model: &WeightGenerator,
    head: &ClassHead,
    image_features: Tensor<3>,
    batch: &EpisodeBatch,
    smoothing: f64,
) -> ClassLoss {
    let logits = head.logits(image_features);
    let left_out = model.left_out(&batch.support);
    let classes = Tensor::from_data(batch.support_classes.clone(), &logits.device());
    ClassLoss {
        loss: cross_entropy(&logits, &classes, left_out.as_ref(), None, smoothing),
        logits,
    }
}

/// What is added to the cross-entropy, term by term.
///
/// # Shapes
/// - returns: `[1]` each
fn penalties(
    heads: Option<&WarmupHeads>,
    generation: &Generation,
    config: &LossConfig,
) -> Vec<Tensor<1>> {
    let mut penalties = Vec::new();
    if config.weight_variation > 0.0 {
        let terms = generation.variation().into_iter();
        penalties.extend(terms.map(|term| term * config.weight_variation));
    }
    if config.squared_kernels > 0.0 {
        let of_heads = heads.map(WarmupHeads::squared_kernels);
        let terms = generation.squared_kernels().into_iter();
        let terms = terms.chain(of_heads.unwrap_or_default());
        penalties.extend(terms.map(|term| term * config.squared_kernels));
    }
    penalties
}

/// Mean cross-entropy over all query images of all episodes, padding left out; 0 where nothing
/// is left.
///
/// A share `smoothing` of the target is spread evenly over the labels that the episode has.
///
/// # Shapes
/// - `logits`: `[E, Q, N]`; `absent`: `[E, N]`
/// - returns: `[1]`
pub fn query_loss(
    logits: &Tensor<3>,
    query: &QuerySet,
    absent: Option<&Tensor<2, Bool>>,
    smoothing: f64,
) -> Tensor<1> {
    cross_entropy(
        logits,
        &query.labels,
        query.hidden.as_ref(),
        absent,
        smoothing,
    )
}

pub(crate) fn cross_entropy(
    logits: &Tensor<3>,
    labels: &Tensor<2, Int>,
    hidden: Option<&Tensor<2, Bool>>,
    absent: Option<&Tensor<2, Bool>>,
    smoothing: f64,
) -> Tensor<1> {
    let [e, q, n] = logits.dims();
    assert_shape!(labels, [e, q]);
    let log_probabilities = log_softmax(logits.clone(), 2);
    let labels = labels.clone().unsqueeze_dim::<3>(2);
    let mut losses: Tensor<3> = log_probabilities.clone().gather(2, labels).neg();
    if smoothing > 0.0 {
        let dtype = log_probabilities.dtype();
        let mean = match absent {
            None => log_probabilities.mean_dim(2),
            Some(absent) => {
                let absent = absent.clone().unsqueeze_dim::<3>(1);
                let n_labels = absent.clone().bool_not().float().cast(dtype).sum_dim(2);
                let present = log_probabilities.mask_fill(absent.expand([e, q, n]), 0.0);
                present.sum_dim(2) / n_labels
            }
        };
        losses = losses * (1.0 - smoothing) - mean * smoothing;
    }
    let losses: Tensor<2> = losses.squeeze_dim(2);
    match hidden {
        None => losses.mean(),
        Some(hidden) => {
            let shown = hidden.clone().bool_not().float().cast(losses.dtype());
            (losses * shown.clone()).sum() / shown.sum().clamp_min(1.0)
        }
    }
}

/// Query images of each episode whose largest logit is their label's.
///
/// # Shapes
/// - `logits`: `[E, Q, N]`; `labels`, `hidden`: `[E, Q]`
/// - returns: E counts; hidden images are never counted
pub fn n_correct(
    logits: Tensor<3>,
    labels: Tensor<2, Int>,
    hidden: Option<Tensor<2, Bool>>,
) -> Vec<usize> {
    let counts = is_correct(logits, labels, hidden).int().sum_dim(1);
    counts
        .into_data()
        .iter::<i64>()
        .map(|n| n as usize)
        .collect()
}

/// Whether the largest logit of each query image is its label's.
///
/// # Shapes
/// - as in [`n_correct`]; returns: `[E, Q]`, false for hidden images
pub(crate) fn is_correct(
    logits: Tensor<3>,
    labels: Tensor<2, Int>,
    hidden: Option<Tensor<2, Bool>>,
) -> Tensor<2, Bool> {
    let [e, q, _] = logits.dims();
    let right = logits.argmax(2).reshape([e, q]).equal(labels);
    match hidden {
        None => right,
        Some(hidden) => right.bool_and(hidden.bool_not()),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;

    fn query(labels: [[i32; 2]; 2], hidden: Option<[[bool; 2]; 2]>) -> QuerySet {
        let device = Device::flex();
        QuerySet {
            images: Tensor::zeros([2, 2, 1, 1, 1], &device),
            labels: Tensor::from_data(labels, &device),
            hidden: hidden.map(|hidden| Tensor::from_data(hidden, &device)),
        }
    }

    fn logits() -> Tensor<3> {
        let device = Device::flex();
        Tensor::from_data(
            [[[0.0f32, 0.0], [2.0, 0.0]], [[0.0, 1.0], [5.0, 5.0]]],
            &device,
        )
    }

    fn ln(x: f32) -> f32 {
        (1.0 + x.exp()).ln()
    }

    #[test]
    fn cross_entropy_by_hand() {
        let query = query([[0, 0], [1, 1]], None);
        let expected = (ln(0.0) + ln(-2.0) + ln(-1.0) + ln(0.0)) / 4.0;
        let loss: f32 = query_loss(&logits(), &query, None, 0.0).into_scalar();
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
    }

    #[test]
    fn smoothing_by_hand() {
        let query = query([[0, 0], [1, 1]], None);
        let right = (ln(0.0) + ln(-2.0) + ln(-1.0) + ln(0.0)) / 4.0;
        let wrong = (ln(0.0) + ln(2.0) + ln(1.0) + ln(0.0)) / 4.0;
        let expected = 0.9 * right + 0.1 * (right + wrong) / 2.0;
        let loss: f32 = query_loss(&logits(), &query, None, 0.1).into_scalar();
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
        let absent = Tensor::from_data([[false, true]; 2], &Device::flex());
        let masked = logits() + Tensor::from_data([[[0.0, -1e9]]], &Device::flex());
        let first = self::query([[0, 0], [0, 0]], None);
        let loss: f32 = query_loss(&masked, &first, Some(&absent), 0.1).into_scalar();
        assert!(loss.abs() < 1e-6, "one label is certain: {loss}");
    }

    #[test]
    fn double_precision_gives_the_same_loss() {
        let query = query([[0, 0], [1, 1]], Some([[false, true], [false, false]]));
        let some = Tensor::from_data([[false, true], [false, false]], &Device::flex());
        for absent in [None, Some(&some)] {
            let single = query_loss(&logits(), &query, absent, 0.1);
            let double = query_loss(&logits().cast(DType::F64), &query, absent, 0.1);
            assert_eq!(double.dtype(), DType::F64);
            let [single, double]: [f64; 2] = [single, double].map(Tensor::into_scalar);
            assert!((single - double).abs() < 1e-6, "{single} {double}");
        }
    }

    #[test]
    fn padding_counts_in_neither_loss_nor_accuracy() {
        let hidden = [[false, true], [false, true]];
        let query = query([[0, 0], [1, 1]], Some(hidden));
        let expected = 0.5 * ln(0.0) + 0.5 * ln(-1.0);
        let loss: f32 = query_loss(&logits(), &query, None, 0.0).into_scalar();
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
        let QuerySet { labels, hidden, .. } = query;
        assert_eq!(n_correct(logits(), labels, hidden), [1, 1]);
    }

    #[test]
    fn correct_images_are_counted_per_episode() {
        let device = Device::flex();
        let logits = Tensor::<3>::from_data(
            [[[1.0f32, 0.0], [2.0, 0.0]], [[0.0, 1.0], [5.0, 4.0]]],
            &device,
        );
        let labels = Tensor::<2, Int>::from_data([[0, 0], [1, 1]], &device);
        assert_eq!(n_correct(logits, labels, None), [2, 1]);
    }
}
