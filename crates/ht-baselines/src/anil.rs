//! ANIL (Raghu et al., 2020): MAML whose gradient steps move the logits layer only.
//!
//! The steps are those of a softmax regression with a learned start, differentiated exactly: the
//! second derivatives that MAML needs are in it.

use burn::module::Module;
use burn::tensor::Device;
use ht_cnn::{CnnSpec, GeneratedCnn};
use ht_episodes::SupportSet;

use crate::InnerSteps;
use crate::body::Body;
use crate::head::Head;
use crate::softmax_regression::fit;
use crate::targets::Targets;

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
