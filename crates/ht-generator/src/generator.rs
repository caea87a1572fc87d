//! The weight generator: the loop over the CNN's layers.

use burn::module::Module;
use burn::tensor::{Device, assert_shape};
use ht_cnn::{Activations, CnnSpec, GeneratedCnn, LogitsWeights, SliceGrid};
use ht_episodes::SupportSet;

use crate::activation_encoder::EncodedLayer;
use crate::{
    ConvSource, GeneratorConfig, GeneratorError, ImageEncoder, LayerGenerator, ParameterInit,
};

/// A support set in, a CNN out.
#[derive(Module, Debug)]
pub struct WeightGenerator {
    image_encoder: Option<ImageEncoder>,
    layers: Vec<ConvSource>,
    logits: LayerGenerator,
    #[module(skip)]
    spec: CnnSpec,
}

impl WeightGenerator {
    /// A generator of CNNs of a given shape, with parameters drawn from a seed.
    ///
    /// Give an autodiff device to train it.
    ///
    /// # Errors
    /// A key of the configuration that is out of range.
    pub fn new(
        config: &GeneratorConfig,
        spec: &CnnSpec,
        seed: u64,
        device: &Device,
    ) -> Result<Self, GeneratorError> {
        let depth = spec.layers.len();
        config.check(depth)?;
        let mut init = ParameterInit::new(seed, 0, device);
        let image_encoder = config
            .image_encoder
            .as_ref()
            .map(|encoder| ImageEncoder::new(encoder, spec.image.channels, &mut init));
        let layers = spec
            .layers
            .iter()
            .enumerate()
            .map(|(l, layer)| {
                let is_learned = config.learned_layers.contains(l, depth);
                let mut init = ParameterInit::new(seed, l as u64 + 1, device);
                ConvSource::new(config, spec.ways, layer, is_learned, &mut init)
            })
            .collect();
        let logits_slices = SliceGrid {
            count: spec.ways,
            len: spec.n_features() + 1,
        };
        let logits = LayerGenerator::new(
            config,
            spec.ways,
            spec.last_activations(),
            logits_slices,
            EncodedLayer::Logits,
            &mut ParameterInit::new(seed, depth as u64 + 1, device),
        );
        Ok(Self {
            image_encoder,
            layers,
            logits,
            spec: spec.clone(),
        })
    }

    /// Shape of the CNNs.
    pub fn spec(&self) -> &CnnSpec {
        &self.spec
    }

    /// Sources of the convolution layers, in order.
    pub fn layers(&self) -> &[ConvSource] {
        &self.layers
    }

    /// Generator of the logits layer.
    pub fn logits(&self) -> &LayerGenerator {
        &self.logits
    }

    /// Writes the weights of one CNN per episode.
    ///
    /// # Shapes
    /// - `support.images`: `[E, S, C, H, W]`; `support.labels`: `[E, S]`, 0..=N
    pub fn generate(&self, support: &SupportSet) -> GeneratedCnn {
        let [e, s, ..] = support.images.dims();
        assert_shape!(support.labels, [e, s]);
        let labels = || support.labels.clone();
        let image_features = self
            .image_encoder
            .as_ref()
            .map(|encoder| encoder.forward(support.images.clone()));

        let mut activations = Activations::from_images(support.images.clone());
        let mut layers = Vec::with_capacity(self.layers.len());
        let mut statistics = Vec::new();
        for (l, source) in self.layers.iter().enumerate() {
            let layer_input = || activations.clone().into_images();
            let spec = &self.spec.layers[l];
            let weights = source.weights(layer_input, image_features.clone(), labels(), spec);
            let (next, kept) = self.spec.support_layer(l, activations, &weights);
            activations = next;
            statistics.extend(kept);
            layers.push(weights);
        }

        let slices = self
            .logits
            .slices(activations.into_images(), image_features, labels());
        GeneratedCnn {
            spec: self.spec.clone(),
            layers,
            logits: LogitsWeights::from_slices(slices, self.spec.n_features()),
            statistics: (!statistics.is_empty()).then_some(statistics),
        }
    }
}

#[cfg(test)]
mod tests;
