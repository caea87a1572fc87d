//! Fine-tuning (Tian et al., 2020, "RFS"): the same CNN, trained as an ordinary classifier of all
//! training classes, gets a new logits layer for each episode, fitted to the support set.
//!
//! Unlike theirs, features are not brought to length one: the CNN has no such layer.

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor};
use ht_cnn::{CnnSpec, GeneratedCnn, LogitsWeights, logits};
use ht_episodes::{EpisodeBatch, SupportSet};

use crate::InnerSteps;
use crate::baseline::Classified;
use crate::body::Body;
use crate::head::Head;
use crate::softmax_regression::fit;
use crate::targets::Targets;

/// Convolutions under a classifier of all training classes.
#[derive(Module, Debug)]
pub struct FineTune {
    body: Body,
    classes: Head,
    #[module(skip)]
    inner: InnerSteps,
    #[module(skip)]
    decay: f64,
}

impl FineTune {
    /// With parameters drawn from a seed.
    pub fn new(
        classes: usize,
        inner: InnerSteps,
        decay: f64,
        spec: &CnnSpec,
        seed: u64,
        device: &Device,
    ) -> Self {
        Self {
            body: Body::new(spec, seed, device),
            classes: Head::new(spec, classes, seed, device),
            inner,
            decay,
        }
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// One CNN per episode.
    pub fn adapt(&self, support: &SupportSet) -> GeneratedCnn {
        let [n_episodes, _] = support.labels.dims();
        let ways = self.body.spec().ways;
        let seen = self.body.support_pass(support);
        let targets = Targets::of(support, ways);
        let [_, _, n_features] = seen.features.dims();
        let device = seen.features.device();
        let start = LogitsWeights {
            kernel: Tensor::zeros([n_episodes, ways, n_features], &device),
            bias: Tensor::zeros([n_episodes, ways], &device),
        };
        let logits = fit(start, &seen.features, &targets, self.inner, self.decay);
        self.body.cnn(support, seen, logits)
    }

    /// The real classes of all images of a batch of training episodes.
    pub(crate) fn classify(&self, batch: &EpisodeBatch) -> Classified {
        let EpisodeBatch {
            support,
            query,
            support_classes,
            query_classes,
        } = batch;
        let [n_episodes, n_support] = support.labels.dims();
        let [_, n_query] = query.labels.dims();
        let ways = self.body.spec().ways;
        // What may not be labelled must not be learned from either.
        let is_unlabelled = support.labels.clone().greater_equal_elem(ways as i64);
        let unlabelled = match &support.hidden {
            Some(hidden) => hidden.clone().bool_or(is_unlabelled),
            None => is_unlabelled,
        };
        let hidden = hidden_of_both(
            Some(&unlabelled),
            query.hidden.as_ref(),
            [n_episodes, n_support, n_query],
            &support.labels,
        );
        let all = SupportSet {
            images: Tensor::cat(vec![support.images.clone(), query.images.clone()], 1),
            labels: Tensor::cat(vec![support_classes.clone(), query_classes.clone()], 1),
            hidden,
            absent: None,
        };
        let seen = self.body.support_pass(&all);
        let logits = logits(seen.features, &self.classes.weights(n_episodes));
        Classified {
            logits,
            labels: all.labels,
            hidden: all.hidden,
            absent: None,
        }
    }
}

/// The masks of both sets side by side, if one of them has one.
fn hidden_of_both(
    support: Option<&Tensor<2, Bool>>,
    query: Option<&Tensor<2, Bool>>,
    [e, s, q]: [usize; 3],
    like: &Tensor<2, Int>,
) -> Option<Tensor<2, Bool>> {
    if support.is_none() && query.is_none() {
        return None;
    }
    let device = like.device();
    let mask = |hidden: Option<&Tensor<2, Bool>>, n: usize| match hidden {
        Some(hidden) => hidden.clone(),
        None => Tensor::<2, Int>::zeros([e, n], &device).bool(),
    };
    Some(Tensor::cat(vec![mask(support, s), mask(query, q)], 1))
}
