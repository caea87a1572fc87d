//! What a person writes about the generator, and what can be wrong with it.

mod encoders;
mod options;
mod parameters;
mod transformer;

use ht_cnn::{CnnSpec, NormStatistics, WeightAllocation};
use serde::{Deserialize, Serialize};

pub use encoders::{ActivationEncoderConfig, ImageEncoderConfig, NonlinearFeatures};
pub use options::{
    ClassHeadConfig, ConvolutionBase, ConvolutionFeatures, HiddenSamples, LearnedLayers,
    LearnedTensors, LogitsBase, LogitsFeatures, LogitsStart, LogitsTokens, NormWeights,
    SampleFeatures, SampleTokens, WarmupHeadsConfig,
};
pub use transformer::{
    Architecture, AttentionWeighting, BlockActivation, FeedForwardConfig, LastBlock, NormOrder,
    Size, TransformerConfig,
};

/// Largest depth, width or count that a key may ask for. With it no product of sizes overflows;
/// what a whole generator may take is [`MOST_PARAMETERS`].
const MOST_OF_A_SIZE: usize = 1 << 16;

/// Parameters of the largest generator that is built: 1 GiB of float32.
pub const MOST_PARAMETERS: u64 = 1 << 28;

/// The weight generator as a person writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// How kernels are cut into slices.
    pub allocation: WeightAllocation,
    /// Which convolution layers are learned instead of generated.
    pub learned_layers: LearnedLayers,
    /// Where scale and shift of the batch normalisation come from in generated layers.
    #[serde(default)]
    pub norm_weights: NormWeights,
    /// Whether learned statistics count with those of the support images, where query images are
    /// normalised by these.
    #[serde(default)]
    pub norm_prior: bool,
    /// Whether a learned tensor of the same shape is added to each generated one.
    #[serde(default)]
    pub added_weights: bool,
    /// What generated convolutions are added to.
    #[serde(default)]
    pub convolution_base: ConvolutionBase,
    /// Whether the query pass has learned tensors of its own.
    #[serde(default)]
    pub learned_tensors: LearnedTensors,
    /// Width of the label and weight embeddings in each token.
    pub embedding_width: usize,
    /// What a convolution's generator sees of its input.
    #[serde(default)]
    pub convolution_features: ConvolutionFeatures,
    /// How the weight tokens of the logits layer start.
    pub logits_tokens: LogitsTokens,
    /// What the attention of the logits layer's generator does at first.
    #[serde(default)]
    pub logits_start: LogitsStart,
    /// What the logits layer's generator sees of its input.
    #[serde(default)]
    pub logits_features: LogitsFeatures,
    /// What the generated logits layer is added to.
    #[serde(default)]
    pub logits_base: LogitsBase,
    /// How the features of the samples enter their tokens.
    #[serde(default)]
    pub sample_features: SampleFeatures,
    /// What has a token.
    #[serde(default)]
    pub sample_tokens: SampleTokens,
    /// Where padding and removed support samples are left out.
    #[serde(default)]
    pub hidden_samples: HiddenSamples,
    /// The encoder of the raw support images, or none.
    pub image_encoder: Option<ImageEncoderConfig>,
    /// A learned classifier of the real training classes on top of the image encoder, or none.
    pub class_head: Option<ClassHeadConfig>,
    /// The encoders of each layer's input activations, or none.
    pub activation_encoder: Option<ActivationEncoderConfig>,
    /// The transformer of each generated layer.
    pub transformer: TransformerConfig,
    /// Learned classifiers on top of the inner layers, which guide the first steps, or none.
    pub warmup_heads: Option<WarmupHeadsConfig>,
}

/// A generator that cannot be built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeneratorError {
    /// A number outside its range.
    #[error("{key} is {value}, expected {expected}")]
    BadNumber {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// Two options that exclude each other.
    #[error("{key} cannot be combined with {other}: {cause}")]
    Excluded {
        /// The configuration key.
        key: &'static str,
        /// The other one, with its value.
        other: &'static str,
        /// Why.
        cause: &'static str,
    },
    /// Samples without features: a generator would see labels only.
    #[error(
        "generator.image_encoder and generator.activation_encoder are both missing, \
         expected at least one of them, or generator.logits_features = \"flattened\" and \
         only the logits layer generated or generator.convolution_features = \"grid\""
    )]
    NoFeatures,
    /// More than [`MOST_PARAMETERS`].
    #[error(
        "the generator would have {n_parameters} parameters, expected at most \
         {MOST_PARAMETERS}; the largest sizes of generator and cnn are too large together"
    )]
    TooLarge {
        /// How many.
        n_parameters: u64,
    },
}

impl GeneratorError {
    fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<(), Self> {
        match sizes
            .iter()
            .find(|(_, size)| !(1..=MOST_OF_A_SIZE).contains(size))
        {
            Some(&(key, size)) => Err(Self::BadNumber {
                key,
                value: size.to_string(),
                expected: format!("1 to {MOST_OF_A_SIZE}"),
            }),
            None => Ok(()),
        }
    }

    fn check_rate(key: &'static str, rate: f64) -> Result<(), Self> {
        if (0.0..1.0).contains(&rate) {
            return Ok(());
        }
        Err(Self::BadNumber {
            key,
            value: rate.to_string(),
            expected: "a rate in [0, 1)".to_owned(),
        })
    }
}

impl GeneratorConfig {
    /// Checks everything that would keep a generator for a CNN from being built.
    ///
    /// # Errors
    /// The first key that is out of range.
    pub fn check(&self, spec: &CnnSpec) -> Result<(), GeneratorError> {
        let depth = spec.layers.len();
        let n_learned = self.learned_layers.count();
        if n_learned > depth {
            return Err(GeneratorError::BadNumber {
                key: "generator.learned_layers",
                value: n_learned.to_string(),
                expected: format!("at most cnn.depth = {depth}"),
            });
        }
        // A layer's input as it is can be all that a generator sees.
        let is_shown = (n_learned == depth
            || self.convolution_features == ConvolutionFeatures::Grid)
            && self.logits_features != LogitsFeatures::Encoded;
        if self.image_encoder.is_none() && self.activation_encoder.is_none() && !is_shown {
            return Err(GeneratorError::NoFeatures);
        }
        if self.allocation == WeightAllocation::Spatial {
            let cause = "a spatial slice has no place for one value per output channel";
            let other = "generator.allocation = \"spatial\"";
            let has_bias = spec.layers.iter().any(|layer| layer.bias);
            let keys = [
                ("cnn.bias", has_bias),
                (
                    "generator.norm_weights",
                    self.norm_weights == NormWeights::Generated,
                ),
            ];
            if let Some(&(key, _)) = keys.iter().find(|(_, is_set)| *is_set) {
                return Err(GeneratorError::Excluded { key, other, cause });
            }
        }
        if self.convolution_base == ConvolutionBase::Learned && self.added_weights {
            return Err(GeneratorError::Excluded {
                key: "generator.convolution_base = \"learned\"",
                other: "generator.added_weights",
                cause: "both would add a learned tensor",
            });
        }
        if self.norm_prior && spec.norm_statistics == NormStatistics::QueryBatch {
            return Err(GeneratorError::Excluded {
                key: "generator.norm_prior",
                other: "cnn.norm_statistics = \"query-batch\"",
                cause: "what is learned counts with statistics of the support images",
            });
        }
        if self.logits_start == LogitsStart::Construction
            && self.logits_tokens == LogitsTokens::Independent
        {
            return Err(GeneratorError::Excluded {
                key: "generator.logits_start = \"construction\"",
                other: "generator.logits_tokens = \"independent\"",
                cause: "a weight token must carry the code of its label",
            });
        }
        if self.warmup_heads.is_some() && depth < 2 {
            return Err(GeneratorError::BadNumber {
                key: "generator.warmup_heads with cnn.depth",
                value: depth.to_string(),
                expected: "at least 2 layers, since the last one has no head".to_owned(),
            });
        }
        GeneratorError::check_sizes(&[("generator.embedding_width", self.embedding_width)])?;
        if self.warmup_heads.is_some_and(|heads| heads.steps == 0) {
            return Err(GeneratorError::BadNumber {
                key: "generator.warmup_heads.steps",
                value: "0".to_owned(),
                expected: "at least 1".to_owned(),
            });
        }
        if let Some(encoder) = &self.image_encoder {
            encoder.check(spec)?;
        }
        if let Some(head) = &self.class_head {
            GeneratorError::check_sizes(&[("generator.class_head.classes", head.classes)])?;
            if self.image_encoder.is_none() {
                return Err(GeneratorError::Excluded {
                    key: "generator.class_head",
                    other: "no generator.image_encoder",
                    cause: "the head reads the image encoder's features",
                });
            }
        }
        if let Some(encoder) = &self.activation_encoder {
            encoder.check()?;
        }
        self.transformer.check()?;
        let n_parameters = self.n_parameters(spec);
        if n_parameters > MOST_PARAMETERS {
            return Err(GeneratorError::TooLarge { n_parameters });
        }
        Ok(())
    }
}
