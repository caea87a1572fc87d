//! The generator of one layer: features and labels in, weight slices out.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use ht_cnn::{Geometry, SliceGrid};

use crate::activation_encoder::EncodedLayer;
use crate::{
    ActivationEncoder, GeneratorConfig, LogitsTokens, ParameterInit, TokenEmbeddings, Transformer,
};

/// Sizes of one layer's token sequence, without its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenGrid {
    /// G weight tokens that carry slices of length L.
    pub slices: SliceGrid,
    /// A: features per sample.
    pub features: usize,
    /// D: token width.
    pub width: usize,
}

/// Embeddings, encoder and transformer of one generated layer.
#[derive(Module, Debug)]
pub struct LayerGenerator {
    embeddings: TokenEmbeddings,
    activation_encoder: Option<ActivationEncoder>,
    transformer: Transformer,
    #[module(skip)]
    grid: TokenGrid,
    #[module(skip)]
    embedding_width: usize,
}

impl LayerGenerator {
    /// A generator of `slices` for a layer with the given input.
    pub(crate) fn new(
        config: &GeneratorConfig,
        ways: usize,
        input: Geometry,
        slices: SliceGrid,
        layer: EncodedLayer,
        init: &mut ParameterInit,
    ) -> Self {
        let start = match layer {
            EncodedLayer::Convolution { .. } => LogitsTokens::Independent,
            EncodedLayer::Logits => config.logits_tokens,
        };
        let embedding = config.embedding_width;
        let embeddings = TokenEmbeddings::new(ways, slices.count, embedding, start, init);
        let activation_encoder = config
            .activation_encoder
            .as_ref()
            .map(|encoder| ActivationEncoder::new(encoder, input, layer, init));
        let local = activation_encoder
            .as_ref()
            .map_or(0, ActivationEncoder::n_features);
        let features = local + config.image_encoder.as_ref().map_or(0, |e| e.width);
        let width = embedding + features.max(slices.len);
        Self {
            embeddings,
            activation_encoder,
            transformer: Transformer::new(&config.transformer, width, init),
            grid: TokenGrid {
                slices,
                features,
                width,
            },
            embedding_width: embedding,
        }
    }

    /// Sizes of the token sequence.
    pub fn grid(&self) -> TokenGrid {
        self.grid
    }

    /// Generates the slices of this layer.
    ///
    /// The slice is the transformer's output itself, behind the columns of the embedding;
    /// the last layer norm sets its scale.
    ///
    /// # Shapes
    /// - `activations`: the layer's input for the support images, `[E, S, C, H, W]`
    /// - `image_features`: `[E, S, A']` of the image encoder
    /// - `labels`: `[E, S]`, 0..=N
    /// - returns: `[E, G, L]`
    pub fn slices(
        &self,
        activations: Tensor<5>,
        image_features: Option<Tensor<3>>,
        labels: Tensor<2, Int>,
    ) -> Tensor<3> {
        let local = self
            .activation_encoder
            .as_ref()
            .map(|encoder| encoder.forward(activations));
        let features = Tensor::cat(local.into_iter().chain(image_features).collect(), 2);
        let tokens = self.embeddings.sequence(labels, features, self.grid.width);
        let tokens = self.transformer.forward(tokens);
        let SliceGrid { count, len } = self.grid.slices;
        tokens
            .narrow(1, 0, count)
            .narrow(2, self.embedding_width, len)
    }
}
