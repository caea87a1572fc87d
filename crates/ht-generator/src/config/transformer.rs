//! What a person writes about the transformer of each layer.

use serde::{Deserialize, Serialize};

use super::{GeneratorError, MOST_OF_A_SIZE};

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

/// How scores become attention weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionWeighting {
    /// Positive weights that add up to 1.
    #[default]
    Softmax,
    /// Each weight on its own, between 0 and 1.
    Sigmoid,
}

/// Which blocks a transformer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Encoder blocks; their output is the transformer's.
    #[default]
    Encoder,
    /// As many decoder blocks again, which start from the same sequence and attend to the
    /// encoder's output. Their feed-forward parts use ReLU, as released.
    EncoderDecoder,
}

/// Whether the last encoder block's feed-forward part has a nonlinearity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastBlock {
    /// As the others.
    #[default]
    Activated,
    /// None.
    Linear,
}

/// A width, relative to the token width or absolute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// A fraction of the token width D: its whole columns, at least one, and as many more as make a
    /// multiple of the heads.
    Fraction(f64),
    /// A number of columns.
    Absolute(usize),
}

impl Size {
    /// The number of columns for token width `d`.
    pub fn resolve(self, d: usize, heads: usize) -> usize {
        match self {
            Self::Fraction(fraction) => {
                let columns = (d as f64 * fraction) as usize;
                columns.max(1).next_multiple_of(heads)
            }
            Self::Absolute(columns) => columns,
        }
    }
}

/// The feed-forward part of each block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedForwardConfig {
    /// Inner columns.
    pub inner: Size,
    /// Nonlinearity.
    pub activation: BlockActivation,
    /// The last block's.
    #[serde(default)]
    pub last_block: LastBlock,
}

/// A transformer without positions and without a causal mask.
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
    /// How scores become attention weights.
    #[serde(default)]
    pub attention: AttentionWeighting,
    /// Which blocks there are.
    #[serde(default)]
    pub architecture: Architecture,
    /// Dropout rate of what attention and feed-forward part add, in training.
    #[serde(default)]
    pub dropout: f64,
    /// The feed-forward part, or none.
    pub feed_forward: Option<FeedForwardConfig>,
}

impl TransformerConfig {
    pub(super) fn check(&self) -> Result<(), GeneratorError> {
        GeneratorError::check_sizes(&[
            ("generator.transformer.blocks", self.blocks),
            ("generator.transformer.heads", self.heads),
        ])?;
        GeneratorError::check_rate("generator.transformer.dropout", self.dropout)?;
        let bad = |key, value: String, expected: String| {
            Err(GeneratorError::BadNumber {
                key,
                value,
                expected,
            })
        };
        let inner = self.feed_forward.as_ref().map(|part| part.inner);
        for (key, size, multiple) in [
            (
                "generator.transformer.query_key",
                Some(self.query_key),
                self.heads,
            ),
            ("generator.transformer.value", Some(self.value), self.heads),
            ("generator.transformer.feed_forward.inner", inner, 1),
        ] {
            match size {
                Some(Size::Fraction(fraction)) if !(fraction > 0.0 && fraction <= 16.0) => {
                    return bad(
                        key,
                        fraction.to_string(),
                        "a fraction in (0, 16]".to_owned(),
                    );
                }
                Some(Size::Absolute(n))
                    if !(1..=MOST_OF_A_SIZE).contains(&n) || n % multiple != 0 =>
                {
                    let expected = match multiple {
                        1 => format!("1 to {MOST_OF_A_SIZE}"),
                        heads => {
                            format!("a multiple of heads = {heads}, at most {MOST_OF_A_SIZE}")
                        }
                    };
                    return bad(key, n.to_string(), expected);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_become_whole_heads() {
        assert_eq!(Size::Fraction(1.0).resolve(80, 2), 80);
        assert_eq!(Size::Fraction(0.5).resolve(433, 8), 216);
        assert_eq!(Size::Fraction(0.5).resolve(105, 8), 56);
        assert_eq!(Size::Fraction(0.5).resolve(81, 2), 40);
        assert_eq!(Size::Fraction(0.01).resolve(80, 2), 2);
        assert_eq!(Size::Fraction(0.01).resolve(80, 1), 1);
        assert_eq!(Size::Absolute(64).resolve(433, 8), 64);
    }
}
