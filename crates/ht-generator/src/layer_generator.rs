//! The generator of one layer: features and labels in, weight slices out.

use burn::module::Module;
use burn::tensor::Tensor;
use ht_cnn::{Geometry, SliceGrid};

use crate::activation_encoder::EncodedLayer;
use crate::{
    ActivationEncoder, GeneratorConfig, LogitsFeatures, LogitsTokens, ParameterInit, Pass, Samples,
    TokenEmbeddings, Transformer,
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
    /// Whether the input activations themselves are features.
    #[module(skip)]
    flattened: bool,
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
        let (start, seen) = match layer {
            EncodedLayer::Convolution { .. } => {
                (LogitsTokens::Independent, LogitsFeatures::Encoded)
            }
            EncodedLayer::Logits => (config.logits_tokens, config.logits_features),
        };
        let embedding = config.embedding_width;
        let embeddings = TokenEmbeddings::new(ways, slices.count, embedding, start, init);
        let activation_encoder = config
            .activation_encoder
            .as_ref()
            .filter(|_| seen != LogitsFeatures::Flattened)
            .map(|encoder| ActivationEncoder::new(encoder, input, layer, init));
        let flattened = seen != LogitsFeatures::Encoded;
        let n_flattened = if flattened {
            input.channels * input.height * input.width
        } else {
            0
        };
        let n_encoded = activation_encoder
            .as_ref()
            .map_or(0, ActivationEncoder::n_features);
        let n_image = config.image_encoder.as_ref().map_or(0, |e| e.width);
        let features = n_flattened + n_encoded + n_image;
        let width = embedding + features.max(slices.len);
        Self {
            embeddings,
            activation_encoder,
            transformer: Transformer::new(&config.transformer, width, init),
            flattened,
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
    /// - returns: `[E, G, L]`
    pub fn slices(&self, activations: Tensor<5>, samples: &Samples, pass: &mut Pass) -> Tensor<3> {
        let features = self.features(activations, samples, pass);
        pass.note("features", &features);
        let tokens = self
            .embeddings
            .sequence(samples.labels.clone(), features, self.grid.width);
        pass.note("tokens", &tokens);
        let SliceGrid { count, len } = self.grid.slices;
        let hidden = samples.hidden_tokens(count);
        let tokens = self.transformer.forward(tokens, hidden.as_ref(), pass);
        let behind_embedding = self.grid.width - self.embedding_width;
        let blocks = tokens
            .narrow(1, 0, count)
            .narrow(2, self.embedding_width, behind_embedding);
        pass.note("blocks", &blocks);
        blocks.narrow(2, 0, len)
    }

    /// What is known of each sample: of the layer's input, then of the image.
    ///
    /// # Shapes
    /// - returns: `[E, S, A]`
    fn features(&self, activations: Tensor<5>, samples: &Samples, pass: &mut Pass) -> Tensor<3> {
        let flattened = self.flattened.then(|| {
            let [e, s, c, h, w] = activations.dims();
            let ordered = activations.clone().permute([0, 1, 3, 4, 2]);
            ordered.reshape([e, s, h * w * c])
        });
        let encoded = self
            .activation_encoder
            .as_ref()
            .map(|encoder| encoder.forward(activations, pass));
        let parts = [flattened, encoded, samples.image_features.clone()];
        Tensor::cat(parts.into_iter().flatten().collect(), 2)
    }
}
