//! The released code's flags, and what they are called here.
//!
//! Their 44 flat options meet our enums and structs in this file only.

use ht_cnn::{Activation, CnnConfig, Features, NormStatistics, Padding, Pooling, WeightAllocation};
use ht_generator::{
    ActivationEncoderConfig, Architecture, AttentionWeighting, BlockActivation, FeedForwardConfig,
    GeneratorConfig, HiddenSamples, ImageEncoderConfig, LastBlock, LearnedLayers, LearnedTensors,
    LogitsFeatures, LogitsStart, LogitsTokens, NonlinearFeatures, NormOrder, NormWeights,
    SampleFeatures, Size, TransformerConfig, WarmupHeadsConfig,
};
use ht_train::LossConfig;
use serde::Deserialize;

use crate::ParityError;

/// The flags that change what one step computes, under their own names.
///
/// `cnn_dropout_rate` is not among them: it acts on no result of a training step
/// (docs/paper.md, deviation D11).
#[derive(Clone, Debug, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the released code's flags as they are"
)]
pub struct ReleasedFlags {
    add_trainable_weights: bool,
    cnn_activation: String,
    cnn_model_name: String,
    default_num_channels: usize,
    dropout_rate: f64,
    embedding_dim: usize,
    fe_dropout: f64,
    generate_bias: bool,
    generate_bn: bool,
    heads: usize,
    internal_dim_frac: f64,
    kernel_size: usize,
    l2_reg_weight: f64,
    logits_feature_extractor: String,
    nonlinear_feature: bool,
    num_features: Option<usize>,
    num_layers: usize,
    number_of_trained_cnn_layers: i64,
    query_key_dim_frac: f64,
    separate_bn_vars: bool,
    shared_fe_dropout: f64,
    shared_feature_extractor: String,
    shared_feature_extractor_padding: String,
    shared_features_dim: usize,
    shared_head_weight: f64,
    skip_last_nonlinearity: bool,
    stride: usize,
    train_heads: bool,
    transformer_activation: String,
    transformer_nonlinearity: String,
    use_decoder: bool,
    value_dim_frac: f64,
    var_reg_weight: f64,
    weight_allocation: String,
}

fn unknown(flag: &'static str, value: &str, cause: &'static str) -> ParityError {
    ParityError::Flag {
        flag,
        value: value.to_owned(),
        cause,
    }
}

/// Fractions above 3 are absolute sizes.
fn size(fraction: f64) -> Size {
    if fraction > 3.0 {
        Size::Absolute(fraction as usize)
    } else {
        Size::Fraction(fraction)
    }
}

impl ReleasedFlags {
    /// The CNN that the flags describe.
    ///
    /// # Errors
    /// A flag without counterpart.
    pub fn cnn(&self) -> Result<CnnConfig, ParityError> {
        let (depth, padding, pooling, features) = match self.cnn_model_name.as_str() {
            "maxpool-4-layer" => (4, Padding::Same, Pooling::Max, Features::Flatten),
            "3-layer" => (3, Padding::Valid, Pooling::None, Features::Mean),
            "4-layer" => (4, Padding::Valid, Pooling::None, Features::Mean),
            other => return Err(unknown("cnn_model_name", other, "no such model")),
        };
        let activation = match self.cnn_activation.as_str() {
            "relu" => Activation::Relu,
            "lrelu" => Activation::LeakyRelu,
            other => return Err(unknown("cnn_activation", other, "expected relu or lrelu")),
        };
        Ok(CnnConfig {
            depth,
            channels: self.default_num_channels,
            kernel: self.kernel_size,
            stride: self.stride,
            padding,
            pooling,
            bias: self.generate_bias,
            activation,
            features,
            norm_statistics: NormStatistics::QueryBatch,
        })
    }

    /// The generator that the flags describe, with `warmup_steps` of its heads.
    ///
    /// # Errors
    /// A flag without counterpart.
    pub fn generator(&self, warmup_steps: u64) -> Result<GeneratorConfig, ParityError> {
        if self.shared_head_weight > 0.0 {
            let value = self.shared_head_weight.to_string();
            let cause = "the head on real classes is left out (docs/paper.md, D13)";
            return Err(unknown("shared_head_weight", &value, cause));
        }
        let n_learned = self.number_of_trained_cnn_layers;
        let logits_features = match self.logits_feature_extractor.as_str() {
            "default" | "" => LogitsFeatures::Encoded,
            "passthrough" => LogitsFeatures::Flattened,
            "mix" => LogitsFeatures::Both,
            other => return Err(unknown("logits_feature_extractor", other, "no such one")),
        };
        let allocation = self.weight_allocation.to_lowercase();
        // Models with a spatial mean know no other extractor.
        let is_mean = self.cnn()?.features == Features::Mean;
        Ok(GeneratorConfig {
            allocation: if allocation.contains("spatial") {
                WeightAllocation::Spatial
            } else {
                WeightAllocation::Output
            },
            learned_layers: match usize::try_from(n_learned.unsigned_abs()).unwrap_or(usize::MAX) {
                0 => LearnedLayers::None,
                n if n_learned > 0 => LearnedLayers::First(n),
                n => LearnedLayers::Last(n),
            },
            norm_weights: if self.generate_bn {
                NormWeights::Generated
            } else {
                NormWeights::Learned
            },
            added_weights: self.add_trainable_weights,
            learned_tensors: if self.separate_bn_vars {
                LearnedTensors::PerPass
            } else {
                LearnedTensors::Shared
            },
            embedding_width: self.embedding_dim,
            logits_tokens: LogitsTokens::Independent,
            logits_features: if is_mean {
                LogitsFeatures::Encoded
            } else {
                logits_features
            },
            sample_features: SampleFeatures::Plain,
            logits_start: LogitsStart::Random,
            hidden_samples: HiddenSamples::KeysOnly,
            image_encoder: self.image_encoder()?,
            activation_encoder: self.activation_encoder(),
            transformer: self.transformer()?,
            warmup_heads: (self.train_heads && warmup_steps > 0).then_some(WarmupHeadsConfig {
                steps: warmup_steps,
            }),
        })
    }

    /// The loss that the flags describe.
    pub fn loss(&self, label_smoothing: f64) -> LossConfig {
        LossConfig {
            label_smoothing,
            weight_variation: self.var_reg_weight,
            squared_kernels: self.l2_reg_weight,
        }
    }

    fn image_encoder(&self) -> Result<Option<ImageEncoderConfig>, ParityError> {
        let name = self.shared_feature_extractor.as_str();
        let depth = match name {
            "none" | "" => return Ok(None),
            "2-layer" => 2,
            "3-layer" => 3,
            "4-layer" => 4,
            other => return Err(unknown("shared_feature_extractor", other, "no such one")),
        };
        Ok(Some(ImageEncoderConfig {
            depth,
            width: self.shared_features_dim,
            padding: match self.shared_feature_extractor_padding.as_str() {
                "same" => Padding::Same,
                _ => Padding::Valid,
            },
            dropout: self.shared_fe_dropout,
        }))
    }

    fn activation_encoder(&self) -> Option<ActivationEncoderConfig> {
        (self.num_features != Some(0)).then_some(ActivationEncoderConfig {
            width: self.num_features,
            nonlinear: if self.nonlinear_feature {
                NonlinearFeatures::LogitsLayer
            } else {
                NonlinearFeatures::None
            },
            dropout: self.fe_dropout,
        })
    }

    fn transformer(&self) -> Result<TransformerConfig, ParityError> {
        let activation = match self.transformer_nonlinearity.as_str() {
            "relu" => BlockActivation::Relu,
            "gelu" => BlockActivation::Gelu,
            "lrelu" => BlockActivation::LeakyRelu,
            other => return Err(unknown("transformer_nonlinearity", other, "no such one")),
        };
        // With a decoder the flag does not reach the encoder either.
        let last_block = if self.skip_last_nonlinearity && !self.use_decoder {
            LastBlock::Linear
        } else {
            LastBlock::Activated
        };
        Ok(TransformerConfig {
            blocks: self.num_layers,
            heads: self.heads,
            norm: NormOrder::Post,
            query_key: size(self.query_key_dim_frac),
            value: size(self.value_dim_frac),
            attention: match self.transformer_activation.as_str() {
                "softmax" => AttentionWeighting::Softmax,
                "sigmoid" => AttentionWeighting::Sigmoid,
                other => return Err(unknown("transformer_activation", other, "no such one")),
            },
            architecture: if self.use_decoder {
                Architecture::EncoderDecoder
            } else {
                Architecture::Encoder
            },
            dropout: self.dropout_rate,
            feed_forward: (self.internal_dim_frac > 0.0).then(|| FeedForwardConfig {
                inner: size(self.internal_dim_frac),
                activation,
                last_block,
            }),
        })
    }
}
