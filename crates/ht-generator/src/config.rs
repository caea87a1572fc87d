//! What a person writes about the generator, and what can be wrong with it.

use ht_cnn::{Padding, WeightAllocation};
use serde::{Deserialize, Serialize};

/// The weight generator as a person writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// How kernels are cut into slices.
    pub allocation: WeightAllocation,
    /// Which convolution layers are learned instead of generated.
    pub learned_layers: LearnedLayers,
    /// Width of the label and weight embeddings in each token.
    pub embedding_width: usize,
    /// How the weight tokens of the logits layer start.
    pub logits_tokens: LogitsTokens,
    /// The encoder of the raw support images, or none.
    pub image_encoder: Option<ImageEncoderConfig>,
    /// The encoders of each layer's input activations, or none.
    pub activation_encoder: Option<ActivationEncoderConfig>,
    /// The transformer of each generated layer.
    pub transformer: TransformerConfig,
}

/// Convolution layers whose kernels are parameters, shared by all episodes. The logits
/// layer is always generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearnedLayers {
    /// All layers are generated.
    None,
    /// The first n layers are learned; n = depth leaves only the logits layer generated.
    First(usize),
    /// The last n layers are learned.
    Last(usize),
}

impl LearnedLayers {
    /// Whether layer `layer` (from 0) of `depth` is learned.
    pub fn contains(self, layer: usize, depth: usize) -> bool {
        match self {
            Self::None => false,
            Self::First(n) => layer < n,
            Self::Last(n) => layer + n >= depth,
        }
    }

    fn count(self) -> usize {
        match self {
            Self::None => 0,
            Self::First(n) | Self::Last(n) => n,
        }
    }
}

/// Initial value of the logits layer's weight tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogitsTokens {
    /// Drawn on their own, as in the released code.
    Independent,
    /// Token n starts as the embedding of label n, so that attention matches a class's
    /// weight token with its samples from the start (the construction of section 4.2).
    FromLabels,
}

/// Convolutions over the raw images, common to all layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageEncoderConfig {
    /// 3 x 3 convolutions: stride 2, the last one 1.
    pub depth: usize,
    /// Channels of each, and so features per image.
    pub width: usize,
    /// Padding of each.
    pub padding: Padding,
}

/// Convolutions over a layer's input activations, one encoder per generated layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationEncoderConfig {
    /// Channels of each convolution.
    pub width: usize,
}

/// Where a transformer block normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormOrder {
    /// Before attention and feed-forward part, and once at the end: trains much faster.
    Pre,
    /// After each residual sum, as released.
    Post,
}

/// Nonlinearity of a block's feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockActivation {
    /// max(x, 0).
    Relu,
    /// The exact Gaussian error unit.
    Gelu,
    /// x for x > 0, 0.1 x otherwise (not the CNN's 0.01).
    LeakyRelu,
}

/// A width, relative to the token width or absolute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// A fraction of the token width D, rounded up to a multiple of the heads.
    Fraction(f64),
    /// A number of columns.
    Absolute(usize),
}

impl Size {
    /// The number of columns for token width `d`.
    pub fn resolve(self, d: usize, heads: usize) -> usize {
        match self {
            Self::Fraction(fraction) => ((d as f64 * fraction) as usize).next_multiple_of(heads),
            Self::Absolute(columns) => columns,
        }
    }
}

/// A transformer: encoder blocks without positions and without a causal mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// Blocks.
    pub blocks: usize,
    /// Attention heads.
    pub heads: usize,
    /// Where the blocks normalise.
    pub norm: NormOrder,
    /// Columns of queries and keys, over all heads.
    pub query_key: Size,
    /// Columns of values, over all heads.
    pub value: Size,
    /// Inner columns of the feed-forward part.
    pub inner: Size,
    /// Its nonlinearity.
    pub activation: BlockActivation,
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
    /// Samples without features: the generator would see labels only.
    #[error(
        "generator.image_encoder and generator.activation_encoder are both missing, \
         expected at least one of them"
    )]
    NoFeatures,
}

impl GeneratorConfig {
    /// Checks everything that would keep a generator for a CNN of `depth` layers from
    /// being built.
    ///
    /// # Errors
    /// The first key that is out of range.
    pub fn check(&self, depth: usize) -> Result<(), GeneratorError> {
        let fail = |key, value: String, expected: String| {
            Err(GeneratorError::BadNumber {
                key,
                value,
                expected,
            })
        };
        let n_learned = self.learned_layers.count();
        if n_learned > depth {
            return fail(
                "generator.learned_layers",
                n_learned.to_string(),
                format!("at most cnn.depth = {depth}"),
            );
        }
        if self.image_encoder.is_none() && self.activation_encoder.is_none() {
            return Err(GeneratorError::NoFeatures);
        }
        let transformer = &self.transformer;
        let mut positive = vec![
            ("generator.embedding_width", self.embedding_width),
            ("generator.transformer.blocks", transformer.blocks),
            ("generator.transformer.heads", transformer.heads),
        ];
        if let Some(encoder) = &self.image_encoder {
            positive.push(("generator.image_encoder.depth", encoder.depth));
            positive.push(("generator.image_encoder.width", encoder.width));
        }
        if let Some(encoder) = &self.activation_encoder {
            positive.push(("generator.activation_encoder.width", encoder.width));
        }
        for (key, value) in positive {
            if value == 0 {
                return fail(key, "0".to_owned(), "at least 1".to_owned());
            }
        }
        for (key, size) in [
            ("generator.transformer.query_key", transformer.query_key),
            ("generator.transformer.value", transformer.value),
            ("generator.transformer.inner", transformer.inner),
        ] {
            match size {
                Size::Fraction(fraction) if !(fraction > 0.0 && fraction <= 16.0) => {
                    return fail(
                        key,
                        fraction.to_string(),
                        "a fraction in (0, 16]".to_owned(),
                    );
                }
                Size::Absolute(n) if n == 0 || n % transformer.heads != 0 => {
                    let expected = format!("a multiple of heads = {}", transformer.heads);
                    return fail(key, n.to_string(), expected);
                }
                Size::Fraction(_) | Size::Absolute(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_rounded_up_to_whole_heads() {
        assert_eq!(Size::Fraction(1.0).resolve(80, 2), 80);
        assert_eq!(Size::Fraction(0.5).resolve(433, 8), 216);
        assert_eq!(Size::Fraction(0.5).resolve(105, 8), 56);
        assert_eq!(Size::Absolute(64).resolve(433, 8), 64);
    }

    #[test]
    fn learned_layers_count_from_their_end() {
        let learned = |which: LearnedLayers| -> Vec<usize> {
            (0..4).filter(|&layer| which.contains(layer, 4)).collect()
        };
        assert_eq!(learned(LearnedLayers::None), [] as [usize; 0]);
        assert_eq!(learned(LearnedLayers::First(2)), [0, 1]);
        assert_eq!(learned(LearnedLayers::Last(1)), [3]);
        assert_eq!(learned(LearnedLayers::First(4)), [0, 1, 2, 3]);
    }
}
