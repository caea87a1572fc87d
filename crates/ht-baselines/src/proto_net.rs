//! Prototypes (Snell, Swersky & Zemel, 2017): a query image belongs to the class whose mean is
//! nearest in the feature space of the convolutions.
//!
//! The squared distance `|f - c|^2 = |f|^2 - 2 f c + |c|^2` is, but for a term that all classes
//! share, a logits layer with the rows 2 c and the biases -|c|^2.

use burn::module::Module;
use burn::tensor::Device;
use ht_cnn::{CnnSpec, GeneratedCnn, LogitsWeights};
use ht_episodes::SupportSet;

use crate::body::Body;
use crate::targets::Targets;

/// Learned convolutions, class means as logits layer.
#[derive(Module, Debug)]
pub struct ProtoNet {
    body: Body,
}

impl ProtoNet {
    /// With parameters drawn from a seed.
    pub fn new(spec: &CnnSpec, seed: u64, device: &Device) -> Self {
        Self {
            body: Body::new(spec, seed, device),
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
        let seen = self.body.support_pass(support);
        let targets = Targets::of(support, self.body.spec().ways);
        let sums = targets.one_hot.clone().swap_dims(1, 2);
        // [E, N, S] x [E, S, P], a row per class.
        let sums = sums.matmul(seen.features.clone());
        let counts = targets.counts();
        let shape = sums.dims();
        // A class of which nothing is shown is no more likely than the mean of all.
        let mean_of_all = sums.clone().sum_dim(1) / counts.clone().sum_dim(1).clamp_min(1.0);
        let is_empty = counts.clone().equal_elem(0.0).expand(shape);
        let means = sums / counts.clamp_min(1.0);
        let means = means.mask_where(is_empty, mean_of_all.expand(shape));
        let logits = LogitsWeights {
            kernel: means.clone() * 2.0,
            bias: means.square().sum_dim(2).squeeze_dim::<2>(2).neg(),
        };
        self.body.cnn(support, seen, logits)
    }
}
