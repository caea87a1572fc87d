//! The two encoders: of the raw support images, and of what the layers so far make of them.

use ht_cnn::{CnnSpec, Padding};
use serde::{Deserialize, Serialize};

use super::GeneratorError;

/// Convolutions over the raw images, common to all layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageEncoderConfig {
    /// 3 x 3 convolutions: stride 2, the last one 1.
    pub depth: usize,
    /// Channels of each, and so features per image.
    pub width: usize,
    /// Padding of each.
    pub padding: Padding,
    /// Dropout rate of the features, in training.
    #[serde(default)]
    pub dropout: f64,
}

/// Convolutions over a layer's input activations, one encoder per generated layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationEncoderConfig {
    /// Convolutions before a convolution layer: stride 2, the last one 1; before the logits layer
    /// there is one.
    #[serde(default = "released_depth")]
    pub depth: usize,
    /// Channels of each convolution; left out: the larger of the layer's input and output
    /// channels.
    pub width: Option<usize>,
    /// Which encoders take the mean after the nonlinearity instead of before.
    #[serde(default)]
    pub nonlinear: NonlinearFeatures,
    /// Dropout rate of all features of a layer's input, in training; those of the logits layer
    /// include the [flattened](super::LogitsFeatures::Flattened) ones.
    #[serde(default)]
    pub dropout: f64,
}

/// What the released trainer fixes.
fn released_depth() -> usize {
    2
}

/// Encoders whose features are means of ReLU outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NonlinearFeatures {
    /// None.
    #[default]
    None,
    /// Only the logits layer's: what `nonlinear_feature` of the released code does.
    LogitsLayer,
    /// All: what its name says.
    AllLayers,
}

impl ImageEncoderConfig {
    pub(super) fn check(&self, spec: &CnnSpec) -> Result<(), GeneratorError> {
        GeneratorError::check_sizes(&[
            ("generator.image_encoder.depth", self.depth),
            ("generator.image_encoder.width", self.width),
        ])?;
        GeneratorError::check_rate("generator.image_encoder.dropout", self.dropout)?;
        self.check_fits(spec.image.height.min(spec.image.width))
    }

    /// Without padding, each convolution needs as many pixels as its kernel.
    fn check_fits(&self, side: usize) -> Result<(), GeneratorError> {
        let mut side = side;
        for number in 1..=self.depth {
            if self.padding == Padding::Valid && side < 3 {
                return Err(GeneratorError::BadNumber {
                    key: "generator.image_encoder.depth",
                    value: self.depth.to_string(),
                    expected: format!(
                        "less than {number} without padding: convolution {number} gets only \
                         {side} x {side} pixels"
                    ),
                });
            }
            let stride = if number == self.depth { 1 } else { 2 };
            let (before, after) = self.padding.zeros(side, 3, stride);
            side = (before + side + after - 3) / stride + 1;
        }
        Ok(())
    }
}

impl ActivationEncoderConfig {
    pub(super) fn check(&self) -> Result<(), GeneratorError> {
        GeneratorError::check_sizes(&[
            (
                "generator.activation_encoder.width",
                self.width.unwrap_or(1),
            ),
            ("generator.activation_encoder.depth", self.depth),
        ])?;
        GeneratorError::check_rate("generator.activation_encoder.dropout", self.dropout)
    }
}
