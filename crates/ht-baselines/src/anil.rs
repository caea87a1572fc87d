//! ANIL (Raghu et al., 2020): MAML whose gradient steps move the logits layer only.
//!
//! The steps are those of a softmax regression with a learned start, differentiated exactly: the
//! second derivatives that MAML needs are in it.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ht_cnn::{CnnSpec, LogitsWeights};

use crate::InnerSteps;
use crate::head::Head;
use crate::softmax_regression::fit;
use crate::targets::Targets;

/// A learned start of the logits layer.
#[derive(Module, Debug)]
pub(crate) struct Anil {
    start: Head,
    #[module(skip)]
    inner: InnerSteps,
}

impl Anil {
    pub(crate) fn new(inner: InnerSteps, spec: &CnnSpec, seed: u64, device: &Device) -> Self {
        Self {
            start: Head::new(spec, spec.ways, seed, device),
            inner,
        }
    }

    /// # Shapes
    /// - `features`: `[E, S, P]` of the support images
    pub(crate) fn logits(&self, features: &Tensor<3>, targets: &Targets) -> LogitsWeights {
        let start = self.start.weights(features.dims()[0]);
        fit(start, features, targets, self.inner, 0.0)
    }
}
