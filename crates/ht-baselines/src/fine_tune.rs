//! Fine-tuning (Tian et al., 2020, "RFS"): the same CNN, trained as an ordinary classifier of all
//! training classes, gets a new logits layer for each episode, fitted to the support set.
//!
//! Unlike theirs, features are not brought to length one: the CNN has no such layer.

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor};
use ht_cnn::{CnnSpec, LogitsWeights, logits};
use ht_episodes::{EpisodeBatch, SupportSet};

use crate::InnerSteps;
use crate::baseline::Classified;
use crate::body::Body;
use crate::head::Head;
use crate::softmax_regression::fit;
use crate::targets::Targets;

/// A classifier of all training classes.
#[derive(Module, Debug)]
pub(crate) struct FineTune {
    classes: Head,
    #[module(skip)]
    inner: InnerSteps,
    #[module(skip)]
    decay: f64,
}

impl FineTune {
    pub(crate) fn new(
        classes: usize,
        inner: InnerSteps,
        decay: f64,
        spec: &CnnSpec,
        seed: u64,
        device: &Device,
    ) -> Self {
        Self {
            classes: Head::new(spec, classes, seed, device),
            inner,
            decay,
        }
    }

    /// # Shapes
    /// - `features`: `[E, S, P]` of the support images
    pub(crate) fn logits(&self, features: &Tensor<3>, targets: &Targets) -> LogitsWeights {
        let [e, _, p] = features.dims();
        let [_, _, n] = targets.one_hot.dims();
        let device = features.device();
        let start = LogitsWeights {
            kernel: Tensor::zeros([e, n, p], &device),
            bias: Tensor::zeros([e, n], &device),
        };
        fit(start, features, targets, self.inner, self.decay)
    }

    /// The real classes of all images of a batch of training episodes.
    pub(crate) fn classify(&self, body: &Body, batch: &EpisodeBatch) -> Classified {
        let EpisodeBatch { support, query, .. } = batch;
        let device = support.images.device();
        let classes = [&batch.support_classes, &batch.query_classes]
            .map(|classes| Tensor::<2, Int>::from_data(classes.clone(), &device));
        let labels = Tensor::cat(vec![support.labels.clone(), query.labels.clone()], 1);
        let [n_episodes, _] = labels.dims();
        let all = SupportSet {
            images: Tensor::cat(vec![support.images.clone(), query.images.clone()], 1),
            labels: Tensor::cat(classes.into(), 1),
            hidden: hidden_of_both(batch),
            absent: None,
        };
        let seen = body.support_pass(&all);
        // What may not be labelled must not be learned from either.
        let is_unlabelled = labels.greater_equal_elem(body.spec().ways as i64);
        let hidden = match all.hidden {
            Some(hidden) => hidden.bool_or(is_unlabelled),
            None => is_unlabelled,
        };
        Classified {
            logits: logits(seen.features, &self.classes.weights(n_episodes)),
            labels: all.labels,
            hidden: Some(hidden),
            absent: None,
        }
    }
}

/// The masks of both sets side by side, if one of them has one.
fn hidden_of_both(batch: &EpisodeBatch) -> Option<Tensor<2, Bool>> {
    let EpisodeBatch { support, query, .. } = batch;
    if support.hidden.is_none() && query.hidden.is_none() {
        return None;
    }
    let masks = [
        (&support.hidden, &support.labels),
        (&query.hidden, &query.labels),
    ];
    let masks = masks.map(|(hidden, labels)| match hidden {
        Some(hidden) => hidden.clone(),
        None => labels.zeros_like().bool(),
    });
    Some(Tensor::cat(masks.into(), 1))
}
