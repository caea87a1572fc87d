//! The convolution layers as plain parameters, shared by all episodes: what all baselines learn.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ht_cnn::{
    Activations, BatchStatistics, CnnSpec, GeneratedCnn, LayerWeights, LogitsWeights,
    NormStatistics, PartialWeights, flatten_features,
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
pub(crate) struct SupportPass {
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
        seen: SupportPass,
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
    pub(crate) fn support_pass(&self, support: &SupportSet) -> SupportPass {
        let [n_episodes, _] = support.labels.dims();
        support_pass(&self.spec, &self.weights(n_episodes), support)
    }
}

/// Applies the convolution layers of E episodes to their support images.
pub(crate) fn support_pass(
    spec: &CnnSpec,
    layers: &[LayerWeights],
    support: &SupportSet,
) -> SupportPass {
    let images = Activations::from_images(support.images.clone());
    let mut activations = images.hide(support.hidden.clone());
    let mut statistics = Vec::new();
    for (l, weights) in layers.iter().enumerate() {
        let (next, kept) = spec.support_layer(l, activations, weights);
        activations = next;
        statistics.extend(kept);
    }
    SupportPass {
        features: flatten_features(activations, spec.features),
        statistics: (!statistics.is_empty()).then_some(statistics),
    }
}
