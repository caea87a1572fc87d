//! The convolution layers as plain parameters, shared by all episodes: what all baselines learn.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ht_cnn::{
    BatchStatistics, CnnSpec, GeneratedCnn, LayerWeights, LogitsWeights, NormStatistics,
    PartialWeights, SupportPass, flatten_features,
};
use ht_episodes::SupportSet;
use ht_generator::{ConvParameters, ParameterInit};

/// Convolution layers with learned weights.
#[derive(Module, Debug)]
pub(crate) struct Body {
    layers: Vec<ConvParameters>,
    #[module(skip)]
    spec: CnnSpec,
}

/// What the support images become behind the last convolution.
#[derive(Clone, Debug)]
pub(crate) struct SeenSupport {
    /// `[E, S, P]`.
    pub(crate) features: Tensor<3>,
    /// Of each layer, where the query pass needs them.
    pub(crate) statistics: Option<Vec<BatchStatistics>>,
}

impl Body {
    /// Layers of a given shape with parameters drawn from a seed.
    pub(crate) fn new(spec: &CnnSpec, seed: u64, device: &Device) -> Self {
        let layers = (1..).zip(&spec.layers).map(|(part, layer)| {
            let mut init = ParameterInit::new(seed, part, device);
            ConvParameters::new(true, true, layer, &mut init)
        });
        Self {
            layers: layers.collect(),
            spec: spec.clone(),
        }
    }

    /// Shape of the CNN.
    pub(crate) fn spec(&self) -> &CnnSpec {
        &self.spec
    }

    pub(crate) fn set_norm_statistics(&mut self, statistics: NormStatistics) {
        self.spec.norm_statistics = statistics;
    }

    /// The same weights for E episodes.
    pub(crate) fn weights(&self, n_episodes: usize) -> Vec<LayerWeights> {
        let nothing = PartialWeights::default();
        let weights = self.layers.iter().map(ConvParameters::weights);
        weights
            .map(|learned| LayerWeights::sum(&nothing, &learned, n_episodes))
            .collect()
    }

    /// The CNNs of E episodes: these layers under a logits layer that was made of `seen`.
    pub(crate) fn cnn(
        &self,
        support: &SupportSet,
        seen: SeenSupport,
        logits: LogitsWeights,
    ) -> GeneratedCnn {
        let [n_episodes, _] = support.labels.dims();
        GeneratedCnn {
            spec: self.spec.clone(),
            layers: self.weights(n_episodes),
            logits,
            statistics: seen.statistics,
            absent: support.absent.clone(),
        }
    }

    /// Applies the layers to the support images.
    pub(crate) fn support_pass(&self, support: &SupportSet) -> SeenSupport {
        let [n_episodes, _] = support.labels.dims();
        support_pass(&self.spec, &self.weights(n_episodes), support)
    }
}

/// Applies the convolution layers of E episodes to their support images.
pub(crate) fn support_pass(
    spec: &CnnSpec,
    layers: &[LayerWeights],
    support: &SupportSet,
) -> SeenSupport {
    let mut pass = SupportPass::new(spec, support.images.clone(), support.hidden.clone());
    for weights in layers {
        pass.apply(weights, None);
    }
    SeenSupport {
        features: flatten_features(pass.activations().clone(), spec.features),
        statistics: pass.into_statistics(),
    }
}
