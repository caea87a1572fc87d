//! All baselines as one value: what training, evaluation and checkpoints see.

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor};
use ht_cnn::{Activations, CnnSpec, GeneratedCnn, LogitsWeights, NormStatistics};
use ht_episodes::{EpisodeBatch, SupportSet};

use crate::anil::Anil;
use crate::body::Body;
use crate::fine_tune::FineTune;
use crate::maml::Maml;
use crate::proto_net::class_means;
use crate::targets::Targets;
use crate::{BaselineConfig, BaselineError, InnerSteps};

/// A method beside the HyperTransformer, with its parameters.
#[derive(Module, Debug)]
pub struct Baseline {
    body: Body,
    /// Class means need no parameters of their own.
    method: Option<Method>,
}

/// What a method learns besides the convolutions.
#[derive(Module, Debug)]
enum Method {
    Maml(Maml),
    Anil(Anil),
    FineTune(FineTune),
}

/// Images of training episodes and what a method makes of them; the cross-entropy of both is
/// what training minimises.
#[derive(Clone, Debug)]
pub struct Classified {
    /// `[E, B, classes]`.
    pub logits: Tensor<3>,
    /// `[E, B]`.
    pub labels: Tensor<2, Int>,
    /// `[E, B]`, true for images that do not count.
    pub hidden: Option<Tensor<2, Bool>>,
    /// `[E, classes]`, true for labels that an episode does not have.
    pub absent: Option<Tensor<2, Bool>>,
}

impl Baseline {
    /// A method with parameters drawn from a seed.
    ///
    /// # Errors
    /// A number out of range.
    pub fn new(
        config: &BaselineConfig,
        spec: &CnnSpec,
        seed: u64,
        device: &Device,
    ) -> Result<Self, BaselineError> {
        config.check(spec)?;
        let method = match *config {
            BaselineConfig::ProtoNet {} => None,
            BaselineConfig::Maml(inner) => Some(Method::Maml(Maml::new(inner, spec, seed, device))),
            BaselineConfig::Anil(inner) => Some(Method::Anil(Anil::new(inner, spec, seed, device))),
            BaselineConfig::FineTune {
                classes,
                steps,
                rate,
                decay,
            } => {
                let inner = InnerSteps { steps, rate };
                let method = FineTune::new(classes, inner, decay, spec, seed, device);
                Some(Method::FineTune(method))
            }
        };
        Ok(Self {
            body: Body::new(spec, seed, device),
            method,
        })
    }

    /// Shape of the CNNs.
    pub fn spec(&self) -> &CnnSpec {
        self.body.spec()
    }

    /// Whose statistics the query pass takes from now on.
    pub fn set_norm_statistics(&mut self, statistics: NormStatistics) {
        self.body.set_norm_statistics(statistics);
    }

    /// Whether training shows it all images of an episode and their real classes, and not the
    /// query images alone.
    pub fn learns_from_all_images(&self) -> bool {
        matches!(self.method, Some(Method::FineTune(_)))
    }

    /// The weights of one CNN per episode.
    ///
    /// # Shapes
    /// - `support.images`: `[E, S, C, H, W]`; `support.labels`: `[E, S]`, 0..=N
    pub fn adapt(&self, support: &SupportSet) -> GeneratedCnn {
        if let Some(Method::Maml(method)) = &self.method {
            return method.adapt(&self.body, support);
        }
        let seen = self.body.support_pass(support);
        let targets = Targets::of(support, self.spec().ways);
        let logits: LogitsWeights = match &self.method {
            Some(Method::Anil(method)) => method.logits(&seen.features, &targets),
            Some(Method::FineTune(method)) => method.logits(&seen.features, &targets),
            _ => class_means(&seen.features, &targets),
        };
        self.body.cnn(support, seen, logits)
    }

    /// What is trained on a batch of training episodes: the real classes of all images, or the
    /// query images under the adapted CNNs.
    pub fn classify(&self, batch: &EpisodeBatch) -> Classified {
        if let Some(Method::FineTune(method)) = &self.method {
            return method.classify(&self.body, batch);
        }
        let query = &batch.query;
        let images = Activations::from_images(query.images.clone()).hide(query.hidden.clone());
        let cnn = self.adapt(&batch.support);
        Classified {
            logits: cnn.classify(images),
            labels: query.labels.clone(),
            hidden: query.hidden.clone(),
            absent: batch.support.absent.clone(),
        }
    }
}
