//! All baselines as one value: what training, evaluation and checkpoints see.

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor};
use ht_cnn::{Activations, CnnSpec, GeneratedCnn, NormStatistics};
use ht_episodes::{EpisodeBatch, SupportSet};

use crate::{Anil, BaselineConfig, BaselineError, FineTune, InnerSteps, Maml, ProtoNet};

/// A method beside the HyperTransformer, with its parameters.
#[derive(Module, Debug)]
pub enum Baseline {
    /// Class means.
    ProtoNet(ProtoNet),
    /// Gradient steps on all weights.
    Maml(Maml),
    /// Gradient steps on the logits layer.
    Anil(Anil),
    /// An ordinary classifier with a new logits layer.
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
        config.check()?;
        Ok(match *config {
            BaselineConfig::ProtoNet {} => Self::ProtoNet(ProtoNet::new(spec, seed, device)),
            BaselineConfig::Maml(inner) => Self::Maml(Maml::new(inner, spec, seed, device)),
            BaselineConfig::Anil(inner) => Self::Anil(Anil::new(inner, spec, seed, device)),
            BaselineConfig::FineTune {
                classes,
                steps,
                rate,
                decay,
            } => {
                let inner = InnerSteps { steps, rate };
                Self::FineTune(FineTune::new(classes, inner, decay, spec, seed, device))
            }
        })
    }

    /// Shape of the CNNs.
    pub fn spec(&self) -> &CnnSpec {
        match self {
            Self::ProtoNet(method) => method.body().spec(),
            Self::Maml(method) => method.body().spec(),
            Self::Anil(method) => method.body().spec(),
            Self::FineTune(method) => method.body().spec(),
        }
    }

    /// Whose statistics the query pass takes from now on.
    pub fn set_norm_statistics(&mut self, statistics: NormStatistics) {
        let body = match self {
            Self::ProtoNet(method) => method.body_mut(),
            Self::Maml(method) => method.body_mut(),
            Self::Anil(method) => method.body_mut(),
            Self::FineTune(method) => method.body_mut(),
        };
        body.set_norm_statistics(statistics);
    }

    /// The weights of one CNN per episode.
    ///
    /// # Shapes
    /// - `support.images`: `[E, S, C, H, W]`; `support.labels`: `[E, S]`, 0..=N
    pub fn adapt(&self, support: &SupportSet) -> GeneratedCnn {
        match self {
            Self::ProtoNet(method) => method.adapt(support),
            Self::Maml(method) => method.adapt(support),
            Self::Anil(method) => method.adapt(support),
            Self::FineTune(method) => method.adapt(support),
        }
    }

    /// What is trained on a batch of training episodes: for [`FineTune`] the real classes of all
    /// images, for the others the query images under the adapted CNNs.
    pub fn classify(&self, batch: &EpisodeBatch) -> Classified {
        if let Self::FineTune(method) = self {
            return method.classify(batch);
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
