//! How many parameters a generator has, counted from its configuration alone: a file from a stranger
//! can ask for any size, and memory is taken only for what was counted.
//!
//! They are counted in floats, exact up to 2^53, so that none overflows. A test builds the generators
//! and compares.

use ht_cnn::{CnnSpec, ConvSpec, Geometry, SliceGrid, SliceLayout};

use super::{
    Architecture, ConvolutionBase, GeneratorConfig, LearnedTensors, LogitsBase, NormOrder,
    NormWeights, TransformerConfig,
};
use crate::activation_encoder::planned_convolutions;
use crate::image_encoder;
use crate::layer_generator::{TokenGrid, encoder};
use crate::{EncodedLayer, NormPrior};

impl GeneratorConfig {
    /// Parameters of the generator for CNNs of a given shape; `u64::MAX` for more than fit it.
    pub fn n_parameters(&self, spec: &CnnSpec) -> u64 {
        let depth = spec.layers.len();
        let image_encoder = self.image_encoder.as_ref().map_or(0.0, |encoder| {
            let kernel = image_encoder::KERNEL;
            let first = convolution(spec.image.channels, encoder.width, kernel);
            let later = convolution(encoder.width, encoder.width, kernel);
            first + (encoder.depth - 1) as f64 * later
        });
        let layers = spec.layers.iter().enumerate().map(|(l, layer)| {
            self.conv_source(spec.ways, layer, self.learned_layers.contains(l, depth))
        });
        let n_features = spec.n_features();
        let slices = SliceGrid {
            count: spec.ways,
            len: n_features + 1,
        };
        let input = spec.last_activations();
        let layer = EncodedLayer::Logits {
            features: spec.features,
        };
        let generator = self.layer_generator(spec.ways, input, slices, layer);
        let added = if self.added_weights {
            dense(n_features, spec.ways) * self.copies()
        } else {
            0.0
        };
        let gain = match self.logits_base {
            LogitsBase::None => 0.0,
            LogitsBase::ClassMeans => 1.0,
        };
        let warmup_heads = self.warmup_heads.map_or(0.0, |_| {
            let inner = &spec.layers[..depth - 1];
            let heads = inner.iter().map(|l| dense(l.output.channels, spec.ways));
            heads.sum()
        });
        let class_head = self.image_encoder.as_ref().zip(self.class_head);
        let class_head = class_head.map_or(0.0, |(e, head)| dense(e.width, head.classes));
        let generated = layers.sum::<f64>() + generator + gain + added;
        (image_encoder + generated + warmup_heads + class_head) as u64
    }

    /// How often the learned tensors of the CNN are there.
    fn copies(&self) -> f64 {
        match self.learned_tensors {
            LearnedTensors::Shared => 1.0,
            LearnedTensors::PerPass => 2.0,
        }
    }

    fn conv_source(&self, ways: usize, layer: &ConvSpec, is_learned: bool) -> f64 {
        let norm_generated = self.norm_weights == NormWeights::Generated && !is_learned;
        let layout = SliceLayout {
            allocation: self.allocation,
            norm: norm_generated,
        };
        let generator = if is_learned {
            0.0
        } else {
            let encoded = EncodedLayer::Convolution {
                kernel: layer.kernel,
                outputs: layer.output.channels,
            };
            self.layer_generator(ways, layer.input, layout.grid(layer), encoded)
        };
        let channels = layer.output.channels as f64;
        let is_mixed = self.convolution_base == ConvolutionBase::Learned && !is_learned;
        let mixing = if is_mixed { layout.grid(layer).len } else { 0 } as f64;
        let has_base = is_mixed || self.added_weights;
        let mut learned = 0.0;
        if is_learned || has_base {
            let bias = if layer.bias { channels } else { 0.0 };
            learned += layer.kernel_len() as f64 + bias;
        }
        if !norm_generated || has_base {
            learned += 2.0 * channels;
        }
        let n_prior = NormPrior::n_parameters(layer.output.channels);
        let prior = if self.norm_prior { n_prior } else { 0 } as f64;
        generator + mixing * mixing + learned * self.copies() + prior
    }

    fn layer_generator(
        &self,
        ways: usize,
        input: Geometry,
        slices: SliceGrid,
        layer: EncodedLayer,
    ) -> f64 {
        let embeddings = (ways + 1 + slices.count) as f64 * self.embedding_width as f64;
        let encoder = encoder(self, layer).map_or(0.0, |encoder| {
            let planned = planned_convolutions(encoder, input, layer);
            let each = planned
                .iter()
                .map(|c| convolution(c.inputs, c.outputs, c.kernel));
            each.sum()
        });
        let grid = TokenGrid::new(self, input, slices, layer);
        embeddings + encoder + self.transformer.n_parameters(grid.width)
    }
}

impl TransformerConfig {
    /// Parameters of a transformer for tokens of `width` columns.
    fn n_parameters(&self, width: usize) -> f64 {
        let query_key = self.query_key.resolve(width, self.heads);
        let value = self.value.resolve(width, self.heads);
        let norm = 2.0 * width as f64;
        let attention =
            norm + 2.0 * dense(width, query_key) + dense(width, value) + dense(value, width);
        let feed_forward = self.feed_forward.as_ref().map_or(0.0, |part| {
            let inner = part.inner.resolve(width, self.heads);
            norm + dense(width, inner) + dense(inner, width)
        });
        let final_norm = match self.norm {
            NormOrder::Pre => norm,
            NormOrder::Post => 0.0,
        };
        let blocks = self.blocks as f64;
        let encoder = blocks * (attention + feed_forward) + final_norm;
        match self.architecture {
            Architecture::Encoder => encoder,
            Architecture::EncoderDecoder => 2.0 * encoder + blocks * attention,
        }
    }
}

/// A dense layer with a bias.
fn dense(inputs: usize, outputs: usize) -> f64 {
    (inputs as f64 + 1.0) * outputs as f64
}

/// A convolution with a bias.
fn convolution(inputs: usize, outputs: usize, kernel: usize) -> f64 {
    let kernel = (kernel * kernel) as f64;
    (kernel * inputs as f64 + 1.0) * outputs as f64
}
