//! The weight generator: the loop over the CNN's layers.

use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor, assert_shape};
use ht_cnn::{
    CnnSpec, GeneratedCnn, NormStatistics, SliceGrid, SupportPass, flatten_features, logits,
};
use ht_episodes::SupportSet;

use crate::cost::cnn_layers;
use crate::{
    ClassHead, ConvSource, EncodedLayer, EpisodeCost, Generation, GeneratorConfig, GeneratorError,
    HiddenSamples, ImageEncoder, LayerGenerator, LogitsSource, ParameterInit, PartCost, Pass,
    SampleTokens, Samples, WarmupHeads,
};

/// A support set in, a CNN out.
#[derive(Module, Debug)]
pub struct WeightGenerator {
    image_encoder: Option<ImageEncoder>,
    layers: Vec<ConvSource>,
    logits: LogitsSource,
    warmup_heads: Option<WarmupHeads>,
    class_head: Option<ClassHead>,
    #[module(skip)]
    spec: CnnSpec,
    #[module(skip)]
    sample_tokens: SampleTokens,
    #[module(skip)]
    hidden_samples: HiddenSamples,
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
        config.check(spec)?;
        let depth = spec.layers.len();
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
        let slices = SliceGrid {
            count: spec.ways,
            len: spec.n_features() + 1,
        };
        let mut init = ParameterInit::new(seed, depth as u64 + 1, device);
        let input = spec.last_activations();
        let layer = EncodedLayer::Logits {
            features: spec.features,
        };
        let generator = LayerGenerator::new(config, spec.ways, input, slices, layer, &mut init);
        let logits = LogitsSource::new(config, generator, spec, &mut init);
        let mut init = ParameterInit::new(seed, depth as u64 + 2, device);
        let warmup_heads = config
            .warmup_heads
            .map(|heads| WarmupHeads::new(heads, spec, &mut init));
        let mut init = ParameterInit::new(seed, depth as u64 + 3, device);
        let class_head = config.image_encoder.as_ref().zip(config.class_head);
        let class_head =
            class_head.map(|(encoder, head)| ClassHead::new(head, encoder.width, &mut init));
        Ok(Self {
            image_encoder,
            layers,
            logits,
            warmup_heads,
            class_head,
            spec: spec.clone(),
            sample_tokens: config.sample_tokens,
            hidden_samples: config.hidden_samples,
        })
    }

    /// Shape of the CNNs.
    pub fn spec(&self) -> &CnnSpec {
        &self.spec
    }

    /// What has a token besides the weights.
    pub fn sample_tokens(&self) -> SampleTokens {
        self.sample_tokens
    }

    /// How many tokens a generated layer has besides its weights' for so many support images.
    pub fn n_sample_tokens(&self, n_support: usize) -> usize {
        match self.sample_tokens {
            SampleTokens::Each => n_support,
            SampleTokens::ClassMeans => self.spec.ways,
        }
    }

    /// Whose statistics the query pass takes from now on.
    pub fn set_norm_statistics(&mut self, statistics: NormStatistics) {
        self.spec.norm_statistics = statistics;
    }

    /// Sources of the convolution layers, in order.
    pub fn layers(&self) -> &[ConvSource] {
        &self.layers
    }

    /// The same with other sources of the convolution layers.
    #[must_use]
    pub(crate) fn with_layers(self, layers: Vec<ConvSource>) -> Self {
        Self { layers, ..self }
    }

    /// Generator of the logits layer.
    pub fn logits(&self) -> &LayerGenerator {
        self.logits.generator()
    }

    /// How much of what is generated for the logits layer is added to that of class means, if it
    /// is.
    pub fn logits_gain(&self) -> Option<f32> {
        self.logits.gain()
    }

    /// The same generator with nothing added to the logits layer of class means; none if that is
    /// not its base. Compared with the generator itself it tells what the transformer adds.
    pub fn with_class_means_alone(&self) -> Option<Self> {
        let logits = self.logits.clone().with_class_means_alone()?;
        Some(Self {
            logits,
            ..self.clone()
        })
    }

    /// The auxiliary classifiers, if there are any.
    pub fn warmup_heads(&self) -> Option<&WarmupHeads> {
        self.warmup_heads.as_ref()
    }

    /// The classifier of the real training classes, if there is one.
    pub fn class_head(&self) -> Option<&ClassHead> {
        self.class_head.as_ref()
    }

    /// What the image encoder makes of images, if there is one.
    ///
    /// # Shapes
    /// - `images`: `[E, S, C, H, W]`
    /// - returns: `[E, S, A]`
    pub fn image_features(&self, images: &Tensor<5>, pass: &mut Pass) -> Option<Tensor<3>> {
        let encoder = self.image_encoder.as_ref()?;
        Some(encoder.forward(images.clone(), pass))
    }

    /// Support samples that count in nothing, if there are any.
    ///
    /// # Shapes
    /// - returns: `[E, S]`
    pub fn left_out(&self, support: &SupportSet) -> Option<Tensor<2, Bool>> {
        match self.hidden_samples {
            HiddenSamples::Removed => support.hidden.clone(),
            HiddenSamples::KeysOnly => None,
        }
    }

    /// What one episode costs at least.
    pub fn episode_cost(&self, n_support: usize, n_query: usize) -> EpisodeCost {
        let spec = &self.spec;
        let counts = [n_support, self.n_sample_tokens(n_support)];
        let encoder = self.image_encoder.as_ref();
        let sides = [spec.image.height, spec.image.width];
        let convolutions = self.layers.iter().zip(&spec.layers).enumerate();
        let generated = convolutions.filter_map(|(l, (source, layer))| {
            let generator = source.generator()?;
            let [encoder, transformer] = generator.cost(layer.input, counts, l == 0);
            Some([encoder, transformer + source.mixing_cost()])
        });
        let logits = self.logits().cost(spec.last_activations(), counts, false);
        let [activation_encoders, transformers] = generated
            .chain([logits])
            .reduce(|[a, b], [c, d]| [a + c, b + d])
            .unwrap_or_default();
        let logits = PartCost::inner(n_query * spec.ways * spec.n_features());
        EpisodeCost {
            image_encoder: encoder
                .map(|encoder| encoder.cost(sides, n_support))
                .unwrap_or_default(),
            activation_encoders,
            transformers,
            support_layers: cnn_layers(spec, n_support),
            query_layers: cnn_layers(spec, n_query) + logits,
        }
    }

    /// Writes the weights of one CNN per episode.
    ///
    /// # Shapes
    /// - `support.images`: `[E, S, C, H, W]`; `support.labels`: `[E, S]`, 0..=N
    pub fn generate(&self, support: &SupportSet) -> GeneratedCnn {
        self.generate_in(support, &mut Pass::evaluation()).cnn
    }

    /// The same in a given pass, with the parts that the weights are made of.
    ///
    /// # Shapes
    /// as in [`generate`](Self::generate)
    pub fn generate_in(&self, support: &SupportSet, pass: &mut Pass) -> Generation {
        let [e, s, ..] = support.images.dims();
        assert_shape!(support.labels, [e, s]);
        let image_features = self.image_features(&support.images, pass);
        let samples = Samples::new(support, image_features, self.sample_tokens, self.spec.ways);
        let mut seen = SupportPass::new(&self.spec, support.images.clone(), self.left_out(support));

        let mut layers = Vec::with_capacity(self.layers.len());
        let mut query_weights = Vec::with_capacity(self.layers.len());
        for (l, source) in self.layers.iter().enumerate() {
            let parts = pass.within(format_args!("layer_{}", l + 1), |pass| {
                let spec = &self.spec.layers[l];
                let parts = source.parts(seen.activations(), &samples, spec, pass);
                let weights = parts.support_weights(e);
                seen.apply(&weights, source.prior(&weights).as_ref());
                query_weights.push(parts.query_weights(e).unwrap_or(weights));
                if pass.is_traced() {
                    pass.note("activations", &seen.activations().clone().into_images());
                }
                parts
            });
            layers.push(parts);
        }

        let [support_logits, query_logits] = pass.within(format_args!("logits"), |pass| {
            let activations = seen.activations();
            let weights = self.logits.weights(activations, &samples, pass);
            if pass.is_traced() {
                let features = flatten_features(activations.clone(), self.spec.features);
                pass.note("activations", &logits(features, &weights[0]));
            }
            weights
        });
        let cnn = GeneratedCnn {
            spec: self.spec.clone(),
            layers: query_weights,
            logits: query_logits,
            statistics: seen.into_statistics(),
            absent: support.absent.clone(),
        };
        Generation {
            cnn,
            layers,
            support_logits,
            image_features: samples.image_features,
        }
    }
}

#[cfg(test)]
mod tests;
