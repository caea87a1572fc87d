//! The choices of a generator: what is generated, from what, and what it is added to.

use serde::{Deserialize, Serialize};

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

    pub(super) fn count(self) -> usize {
        match self {
            Self::None => 0,
            Self::First(n) | Self::Last(n) => n,
        }
    }
}

/// Source of scale and shift in generated layers; learned layers always learn theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormWeights {
    /// Parameters, shared by all episodes (paper, section 5.1).
    #[default]
    Learned,
    /// The transformer.
    Generated,
}

/// Learned tensors that the CNN's layers use: kernels, scales and shifts, added ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearnedTensors {
    /// The support pass and the query pass use the same.
    #[default]
    Shared,
    /// Each pass has its own, as under `separate_bn_vars` of the released code.
    PerPass,
}

/// What a convolution's generator sees of its input activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConvolutionFeatures {
    /// What the activation encoder makes of them: means over the pixels, which say what is there.
    #[default]
    Encoded,
    /// Their means over the cells of a grid of 3 by 3, which say where it is; where the input is no
    /// larger, its pixels.
    Grid,
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

/// Initial attention of the logits layer's generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogitsStart {
    /// Random projections, as in the released code.
    #[default]
    Random,
    /// One head of the last block takes the means of the classes and one of the block before
    /// labels the unlabelled samples, as in the construction of section 4.2; training goes on
    /// from there. Needs weight tokens [from labels](LogitsTokens::FromLabels).
    Construction,
}

/// What the logits layer's generator sees of its input activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogitsFeatures {
    /// What the activation encoder makes of them.
    #[default]
    Encoded,
    /// What the layer itself reads: the flattened activations, or their means over the pixels.
    Flattened,
    /// Both, what the layer reads first.
    Both,
}

/// What generated convolutions are added to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConvolutionBase {
    /// Nothing, as in the released code without [added tensors](super::GeneratorConfig::added_weights).
    #[default]
    None,
    /// Learned tensors of the same shape. What the transformer gives for a slice is mixed by a learned
    /// product, 0 at first, before it is added: training begins with convolutions that all episodes share.
    Learned,
}

/// What the generated logits layer is added to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogitsBase {
    /// Nothing, as in the released code.
    #[default]
    None,
    /// The logits layer of class means. A learned gain, 0 at first, says how much of what is
    /// generated is added to it: training begins with a prototypical network
    /// (where no tensors are [added](super::GeneratorConfig::added_weights) besides).
    ClassMeans,
}

/// What happens to the features of the samples before they stand in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SampleFeatures {
    /// Nothing, as in the released code.
    #[default]
    Plain,
    /// Each feature has mean 0 and variance 1 over the samples of an episode: what its images
    /// have in common is gone, and what tells them apart stands on the scale of the label
    /// embeddings, so that attention can compare images from the first step on.
    Standardized,
}

/// What stands in a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SampleTokens {
    /// Each support sample, as in the released code.
    #[default]
    Each,
    /// The mean of the features of each class's labelled samples: N tokens, however many shots there
    /// are. Unlabelled samples have none.
    ClassMeans,
}

/// Where a hidden support sample is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HiddenSamples {
    /// Everywhere: no token attends to it, and the batch statistics leave it out.
    #[default]
    Removed,
    /// Only from the attention, as in the released code: it still counts in the statistics
    /// (docs/paper.md, deviation D8).
    KeysOnly,
}

/// Classifier of the training classes (released code, `shared_head_weight`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassHeadConfig {
    /// Number of training classes.
    pub classes: usize,
}

/// Auxiliary classifiers on the inner convolution layers (released code, `warmup_steps`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmupHeadsConfig {
    /// T: steps after which only the real logits count.
    pub steps: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

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
