//! The transformer that reads a support set and writes the weights of a small CNN.
//!
//! Layer by layer, because a layer's weights depend on what the layers before it make of
//! the support images (paper, section 4.1):
//!
//! ```text
//! SupportSet ─> for each CNN layer:
//!                   features    = ActivationEncoder ++ ImageEncoder      [E, S, A]
//!                   tokens      = weight tokens | sample tokens          [E, T, D]
//!                   tokens'     = Transformer(tokens)                    [E, T, D]
//!                   slices      = the first G tokens                     [E, G, L]
//!                   weights     = LayerWeights::sum                      [E, O, I, F, F]
//!                   activations = the layer applied to the support set
//!            ─> GeneratedCnn
//! ```
//!
//! [`WeightGenerator::generate`] takes a support set and nothing else: by type it cannot
//! see a query image. *Parameters* are learned, *weights* are generated.

mod activation_encoder;
mod attention;
mod config;
pub mod construction;
mod conv_source;
mod cost;
#[cfg(feature = "flex")]
mod cpu;
mod feed_forward;
mod generation;
mod generator;
mod heads;
mod image_encoder;
mod init;
mod layer_generator;
mod logits_source;
mod mean_convolutions;
mod norm_prior;
mod pass;
mod samples;
mod shared;
mod tokens;
mod transformer;

pub use activation_encoder::{ActivationEncoder, EncodedLayer};
pub use attention::Attention;
pub use config::{
    ActivationEncoderConfig, Architecture, AttentionWeighting, BlockActivation, ClassHeadConfig,
    ConvolutionBase, ConvolutionFeatures, FeedForwardConfig, GeneratorConfig, GeneratorError,
    HiddenSamples, ImageEncoderConfig, LastBlock, LearnedLayers, LearnedTensors, LogitsBase,
    LogitsFeatures, LogitsStart, LogitsTokens, MOST_PARAMETERS, NonlinearFeatures, NormOrder,
    NormWeights, SampleFeatures, SampleTokens, Size, TransformerConfig, WarmupHeadsConfig,
};
pub use conv_source::{ConvParameters, ConvParts, ConvSource};
pub use cost::{EpisodeCost, PartCost};
pub use feed_forward::FeedForward;
pub use generation::Generation;
pub use generator::WeightGenerator;
pub use heads::{ClassHead, WarmupHeads};
pub use image_encoder::ImageEncoder;
pub use init::ParameterInit;
pub use layer_generator::{LayerGenerator, TokenGrid};
pub use logits_source::{LogitsParameters, LogitsSource};
pub use norm_prior::NormPrior;
pub use pass::{Pass, Trace};
pub use samples::Samples;
pub use tokens::TokenEmbeddings;
pub use transformer::{DecoderBlock, Transformer, TransformerBlock};
