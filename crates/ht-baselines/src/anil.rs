//! ANIL (Raghu et al., 2020): MAML whose gradient steps move the logits layer only.
//!
//! The steps are those of a softmax regression with a learned start, differentiated exactly: the
//! second derivatives that MAML needs are in it.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ht_cnn::{CnnSpec, GeneratedCnn, LogitsWeights};
use ht_episodes::SupportSet;
use ht_generator::ParameterInit;

use crate::InnerSteps;
use crate::body::Body;
use crate::softmax_regression::fit;
use crate::targets::Targets;

/// A logits layer that all episodes share.
#[derive(Module, Debug)]
pub(crate) struct Head {
    /// `[rows, P]`.
    kernel: Param<Tensor<2>>,
    /// `[rows]`.
    bias: Param<Tensor<1>>,
}

impl Head {
    /// `rows` classes over the features of a body.
    pub(crate) fn new(spec: &CnnSpec, rows: usize, seed: u64, device: &Device) -> Self {
        let mut init = ParameterInit::new(seed, spec.layers.len() as u64 + 1, device);
        let n_features = spec.n_features();
        Self {
            kernel: init.glorot([rows, n_features], n_features, rows),
            bias: init.constant([rows], 0.0),
        }
    }

    /// The same weights for E episodes.
    pub(crate) fn weights(&self, n_episodes: usize) -> LogitsWeights {
        let [rows, n_features] = self.kernel.dims();
        let kernel = self.kernel.val().unsqueeze::<3>();
        let bias = self.bias.val().unsqueeze::<2>();
        LogitsWeights {
            kernel: kernel.expand([n_episodes, rows, n_features]),
            bias: bias.expand([n_episodes, rows]),
        }
    }
}

/// Learned convolutions and a learned start of the logits layer.
#[derive(Module, Debug)]
pub struct Anil {
    body: Body,
    start: Head,
    #[module(skip)]
    inner: InnerSteps,
}

impl Anil {
    /// With parameters drawn from a seed.
    pub fn new(inner: InnerSteps, spec: &CnnSpec, seed: u64, device: &Device) -> Self {
        Self {
            body: Body::new(spec, seed, device),
            start: Head::new(spec, spec.ways, seed, device),
            inner,
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
        let seen = self.body.support_pass(support);
        let targets = Targets::of(support, self.body.spec().ways);
        let start = self.start.weights(n_episodes);
        let logits = fit(start, &seen.features, &targets, self.inner, 0.0);
        self.body.cnn(support, seen, logits)
    }
}
