//! The released code's flags, and what they are called here.
//!
//! Their 44 flat options meet our enums and structs in this file only.

use ht_cnn::{Activation, CnnConfig, Features, NormStatistics, Padding, Pooling, WeightAllocation};
use ht_generator::{
    ActivationEncoderConfig, Architecture, AttentionWeighting, BlockActivation, ClassHeadConfig,
    ConvolutionBase, ConvolutionFeatures, FeedForwardConfig, GeneratorConfig, HiddenSamples,
    ImageEncoderConfig, LastBlock, LearnedLayers, LearnedTensors, LogitsBase, LogitsFeatures,
    LogitsStart, LogitsTokens, NonlinearFeatures, NormOrder, NormWeights, SampleFeatures,
    SampleTokens, Size, TransformerConfig, WarmupHeadsConfig,
};
use ht_train::LossConfig;
use serde::Deserialize;

use crate::ParityError;

/// The flags that change what one step computes, under their own names.
///
/// `cnn_dropout_rate` is not among them: it acts on no result of a training step, whatever its
/// value (docs/paper.md, deviation D11). Neither are the flags without effect.
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
    #[serde(default = "trainers_feature_layers")]
    feature_layers: usize,
    generate_bias: bool,
    generate_bn: bool,
    #[serde(default = "joint")]
    generator: String,
    heads: usize,
    internal_dim_frac: f64,
    kernel_size: usize,
    l2_reg_weight: Option<f64>,
    logits_feature_extractor: String,
    #[serde(default)]
    max_prob_remove_labeled: f64,
    #[serde(default)]
    max_prob_remove_unlabeled: f64,
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

/// What the trainer gives a model, whose own default is another.
fn trainers_feature_layers() -> usize {
    2
}

fn joint() -> String {
    "joint".to_owned()
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

    /// Refuses flags under which a recorded step has drawn numbers that are not in the record;
    /// `has_mask` where the removed samples are.
    ///
    /// # Errors
    /// A flag of dropout, or of removal without a mask.
    pub(crate) fn check_repeatable(&self, has_mask: bool) -> Result<(), ParityError> {
        let dropout = "dropout is drawn at random, expected 0 in a recorded step";
        let removal = "samples are removed at random, expected 0 or a recorded in/support_mask";
        for (flag, rate, is_recorded, cause) in [
            ("dropout_rate", self.dropout_rate, false, dropout),
            ("fe_dropout", self.fe_dropout, false, dropout),
            ("shared_fe_dropout", self.shared_fe_dropout, false, dropout),
            (
                "max_prob_remove_labeled",
                self.max_prob_remove_labeled,
                has_mask,
                removal,
            ),
            (
                "max_prob_remove_unlabeled",
                self.max_prob_remove_unlabeled,
                has_mask,
                removal,
            ),
        ] {
            if rate != 0.0 && !is_recorded {
                return Err(unknown(flag, &rate.to_string(), cause));
            }
        }
        Ok(())
    }

    /// The generator that the flags describe, with `warmup_steps` of its heads, and a head for
    /// `n_classes` real classes if there is one.
    ///
    /// # Errors
    /// A flag without counterpart.
    pub fn generator(
        &self,
        warmup_steps: u64,
        n_classes: Option<usize>,
    ) -> Result<GeneratorConfig, ParityError> {
        if self.generator != "joint" {
            let cause = "it does not run in the released code and is left out (docs/paper.md, D16)";
            return Err(unknown("generator", &self.generator, cause));
        }
        if self.train_heads && warmup_steps == 0 {
            let cause = "heads without warmup_steps have no weights";
            return Err(unknown("train_heads", "true", cause));
        }
        if self.shared_head_weight > 0.0 && n_classes.is_none() {
            let value = self.shared_head_weight.to_string();
            let cause = "there is no variable of the role shared_head";
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
            norm_prior: false,
            added_weights: self.add_trainable_weights,
            convolution_base: ConvolutionBase::None,
            learned_tensors: if self.separate_bn_vars {
                LearnedTensors::PerPass
            } else {
                LearnedTensors::Shared
            },
            embedding_width: self.embedding_dim,
            convolution_features: ConvolutionFeatures::Encoded,
            logits_tokens: LogitsTokens::Independent,
            logits_features: if is_mean {
                LogitsFeatures::Encoded
            } else {
                logits_features
            },
            logits_base: LogitsBase::None,
            sample_features: SampleFeatures::Plain,
            sample_tokens: SampleTokens::Each,
            logits_start: LogitsStart::Random,
            hidden_samples: HiddenSamples::KeysOnly,
            image_encoder: self.image_encoder()?,
            class_head: n_classes.map(|classes| ClassHeadConfig { classes }),
            activation_encoder: self.activation_encoder(),
            transformer: self.transformer()?,
            warmup_heads: self.train_heads.then_some(WarmupHeadsConfig {
                steps: warmup_steps,
            }),
        })
    }

    /// The loss that the flags describe.
    pub fn loss(&self, label_smoothing: f64) -> LossConfig {
        LossConfig {
            label_smoothing,
            weight_variation: self.var_reg_weight,
            squared_kernels: self.l2_reg_weight.unwrap_or(0.0),
            class_head: self.shared_head_weight,
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
            depth: self.feature_layers,
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The flags of the recorded cases' base, with some of them changed.
    fn flags(changes: &[(&str, Value)]) -> ReleasedFlags {
        let mut flags = json!({
            "add_trainable_weights": false, "cnn_activation": "relu", "cnn_dropout_rate": 0.0,
            "cnn_model_name": "maxpool-4-layer", "default_num_channels": 8, "dropout_rate": 0.0,
            "embedding_dim": 16, "fe_dropout": 0.0, "feature_layers": 2, "generate_bias": false,
            "generate_bn": false, "generator": "joint", "heads": 2, "image_size": 28,
            "internal_dim_frac": 1.0, "kernel_size": 3, "l2_reg_weight": 1e-4,
            "logits_feature_extractor": "default", "max_prob_remove_labeled": 0,
            "max_prob_remove_unlabeled": 0, "nonlinear_feature": false, "num_features": 8,
            "num_layers": 2, "number_of_trained_cnn_layers": 0, "query_key_dim_frac": 1.0,
            "separate_bn_vars": false, "shared_fe_dropout": 0.0,
            "shared_feature_extractor": "4-layer", "shared_feature_extractor_padding": "same",
            "shared_features_dim": 16, "shared_head_weight": 0.0, "skip_last_nonlinearity": false,
            "stride": 1, "train_heads": false, "transformer_activation": "softmax",
            "transformer_nonlinearity": "relu", "use_decoder": false, "value_dim_frac": 1.0,
            "var_reg_weight": 0.0, "weight_allocation": "OUTPUT_CHANNEL",
        });
        for (name, value) in changes {
            flags[*name] = value.clone();
        }
        serde_json::from_value(flags).expect("all flags")
    }

    fn refused(result: Result<impl Sized, ParityError>, flag: &str) {
        let error = result.err().expect("refused").to_string();
        assert!(error.starts_with(&format!("flag {flag} = ")), "{error}");
    }

    #[test]
    fn flags_that_change_the_model_are_refused_or_kept() {
        assert!(flags(&[]).generator(0, None).is_ok());
        for (name, value) in [
            ("generator", json!("separate")),
            ("shared_head_weight", json!(0.5)),
            ("train_heads", json!(true)),
            ("cnn_model_name", json!("5-layer")),
            ("transformer_nonlinearity", json!("swish")),
        ] {
            refused(flags(&[(name, value)]).generator(0, None), name);
        }
        let heads = flags(&[("train_heads", json!(true))]).generator(300, None);
        assert_eq!(
            heads.expect("with steps").warmup_heads,
            Some(WarmupHeadsConfig { steps: 300 })
        );
        let factors = [json!(0.5), json!(null)].map(|value| {
            let loss = flags(&[("l2_reg_weight", value)]).loss(0.0);
            loss.squared_kernels.to_string()
        });
        assert_eq!(factors, ["0.5", "0"]);
    }

    #[test]
    fn what_was_drawn_at_random_must_be_recorded() {
        for name in ["dropout_rate", "fe_dropout", "shared_fe_dropout"] {
            let flags = flags(&[(name, json!(0.1))]);
            refused(flags.check_repeatable(true), name);
        }
        for name in ["max_prob_remove_labeled", "max_prob_remove_unlabeled"] {
            let flags = flags(&[(name, json!(0.1))]);
            refused(flags.check_repeatable(false), name);
            assert!(flags.check_repeatable(true).is_ok());
        }
        // Acts on nothing that is recorded.
        let flags = flags(&[("cnn_dropout_rate", json!(0.1))]);
        assert!(flags.check_repeatable(false).is_ok());
    }
}
