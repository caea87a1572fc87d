//! The generator of one layer: features and labels in, weight slices out.

use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use ht_cnn::{Activations, Features, Geometry, SliceGrid, flatten_features};

use crate::activation_encoder::planned_convolutions;
use crate::construction::construction_start;
use crate::{
    ActivationEncoder, ActivationEncoderConfig, ConvolutionFeatures, EncodedLayer, GeneratorConfig,
    LogitsFeatures, LogitsStart, LogitsTokens, ParameterInit, PartCost, Pass, SampleFeatures,
    Samples, TokenEmbeddings, Transformer,
};

/// Added to the variance of a feature; of the order of a feature that says nothing.
const STANDARDIZE_EPSILON: f64 = 1e-6;

/// Cells of a side of the grid that shows where in the input of a convolution things are. As many as the
/// input of the last of four layers has pixels, for images of 28 x 28.
const GRID_SIDE: usize = 3;

/// What of a layer's input stands in tokens as it is, without an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// What the logits layer reads.
    Features(Features),
    /// Means over the cells of a grid.
    Grid,
}

impl Shown {
    fn count(self, input: Geometry) -> usize {
        match self {
            Self::Features(features) => features.count(input),
            Self::Grid => {
                let sides = [input.height, input.width].map(|side| side.min(GRID_SIDE));
                input.channels * sides[0] * sides[1]
            }
        }
    }

    /// # Shapes
    /// - returns: `[E, S, A]`
    fn of(self, activations: Activations) -> Tensor<3> {
        match self {
            Self::Features(features) => flatten_features(activations, features),
            Self::Grid => activations.grid_means(GRID_SIDE),
        }
    }
}

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

impl TokenGrid {
    /// The sizes that a layer's generator will have.
    pub(crate) fn new(
        config: &GeneratorConfig,
        input: Geometry,
        slices: SliceGrid,
        layer: EncodedLayer,
    ) -> Self {
        let n_shown = shown(config, layer).map_or(0, |shown| shown.count(input));
        let n_encoded = encoder(config, layer).map_or(0, |encoder| {
            let planned = planned_convolutions(encoder, input, layer);
            planned.iter().map(|convolution| convolution.outputs).sum()
        });
        let n_image = config.image_encoder.as_ref().map_or(0, |e| e.width);
        let features = n_shown + n_encoded + n_image;
        Self {
            slices,
            features,
            width: config.embedding_width + features.max(slices.len),
        }
    }
}

/// The encoder of a layer's input, if it has one.
pub(crate) fn encoder(
    config: &GeneratorConfig,
    layer: EncodedLayer,
) -> Option<&ActivationEncoderConfig> {
    let is_encoded = match layer {
        EncodedLayer::Convolution { .. } => {
            config.convolution_features == ConvolutionFeatures::Encoded
        }
        EncodedLayer::Logits { .. } => config.logits_features != LogitsFeatures::Flattened,
    };
    config.activation_encoder.as_ref().filter(|_| is_encoded)
}

/// What of a layer's input stands in tokens as it is, if anything does.
fn shown(config: &GeneratorConfig, layer: EncodedLayer) -> Option<Shown> {
    match layer {
        EncodedLayer::Convolution { .. } => {
            (config.convolution_features == ConvolutionFeatures::Grid).then_some(Shown::Grid)
        }
        EncodedLayer::Logits { features } => {
            (config.logits_features != LogitsFeatures::Encoded).then_some(Shown::Features(features))
        }
    }
}

/// Embeddings, encoder and transformer of one generated layer.
#[derive(Module, Debug)]
pub struct LayerGenerator {
    embeddings: TokenEmbeddings,
    activation_encoder: Option<ActivationEncoder>,
    transformer: Transformer,
    /// How the input activations themselves are features, if they are.
    #[module(skip)]
    shown: Option<Shown>,
    /// Dropout rate of the features of the layer's input.
    #[module(skip)]
    dropout: f64,
    #[module(skip)]
    sample_features: SampleFeatures,
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
            EncodedLayer::Logits { .. } => config.logits_tokens,
        };
        let embedding = config.embedding_width;
        let embeddings = TokenEmbeddings::new(ways, slices.count, embedding, start, init);
        let activation_encoder = encoder(config, layer)
            .map(|encoder| ActivationEncoder::new(encoder, input, layer, init));
        let grid = TokenGrid::new(config, input, slices, layer);
        let transformer = Transformer::new(&config.transformer, grid.width, init);
        let transformer = match (layer, config.logits_start) {
            (EncodedLayer::Logits { .. }, LogitsStart::Construction) => {
                construction_start(transformer, &embeddings, grid.features)
            }
            _ => transformer,
        };
        Self {
            embeddings,
            activation_encoder,
            transformer,
            shown: shown(config, layer),
            dropout: config
                .activation_encoder
                .as_ref()
                .map_or(0.0, |encoder| encoder.dropout),
            sample_features: config.sample_features,
            grid,
            embedding_width: embedding,
        }
    }

    /// Sizes of the token sequence.
    pub fn grid(&self) -> TokenGrid {
        self.grid
    }

    /// Multiply-adds of the encoder for S support images and of the transformer for T tokens besides
    /// those of the weights; `is_image` where the layer's input is an image.
    pub(crate) fn cost(
        &self,
        input: Geometry,
        [s, t]: [usize; 2],
        is_image: bool,
    ) -> [PartCost; 2] {
        let encoder = self.activation_encoder.as_ref();
        let encoder = encoder.map(|encoder| encoder.cost(input, s, is_image));
        let n_slices = self.grid.slices.count;
        let transformer = self.transformer.cost(n_slices + t, n_slices);
        [encoder.unwrap_or_default(), transformer]
    }

    /// Generates the slices of this layer.
    ///
    /// The slice is the transformer's output itself, behind the columns of the embedding;
    /// the last layer norm sets its scale.
    ///
    /// # Shapes
    /// - `activations`: the layer's input for S support images of each of E episodes
    /// - returns: `[E, G, L]`
    pub fn slices(
        &self,
        activations: Activations,
        samples: &Samples<'_>,
        pass: &mut Pass,
    ) -> Tensor<3> {
        let features = samples.token_features(self.features(activations, samples, pass));
        pass.note("features", &features);
        let tokens = self
            .embeddings
            .sequence(samples.labels(), features, self.grid.width);
        pass.note("tokens", &tokens);
        let SliceGrid { count, len } = self.grid.slices;
        let hidden = samples.hidden_tokens(count);
        let tokens = (self.transformer).forward(tokens, count, hidden.as_ref(), pass);
        let behind_embedding = self.grid.width - self.embedding_width;
        let blocks = tokens.narrow(2, self.embedding_width, behind_embedding);
        pass.note("blocks", &blocks);
        blocks.narrow(2, 0, len)
    }

    /// What is known of each sample: of the layer's input, then of the image.
    ///
    /// # Shapes
    /// - returns: `[E, S, A]`
    fn features(
        &self,
        activations: Activations,
        samples: &Samples<'_>,
        pass: &mut Pass,
    ) -> Tensor<3> {
        let shown = self.shown.map(|shown| shown.of(activations.clone()));
        let encoded = self
            .activation_encoder
            .as_ref()
            .map(|encoder| encoder.forward(activations));
        // One draw over both, as in the released code; the image features had their own.
        let of_input = [shown, encoded].into_iter().flatten();
        let of_input = of_input
            .reduce(|shown, encoded| Tensor::cat(vec![shown, encoded], 2))
            .map(|features| pass.drop(features, self.dropout));
        let parts = of_input.into_iter().chain(samples.image_features.clone());
        let features = Tensor::cat(parts.collect(), 2);
        match self.sample_features {
            SampleFeatures::Plain => features,
            SampleFeatures::Standardized => standardize(features, samples.support.hidden.as_ref()),
        }
    }
}

/// Gives each feature mean 0 and variance 1 over the samples of an episode that count.
///
/// # Shapes
/// - `features`: `[E, S, A]`, returns the same; `hidden`: `[E, S]`
fn standardize(features: Tensor<3>, hidden: Option<&Tensor<2, Bool>>) -> Tensor<3> {
    let over_samples = |x: Tensor<3>| match hidden {
        None => x.mean_dim(1),
        Some(hidden) => {
            let shown = hidden.clone().bool_not().float().cast(x.dtype());
            let shown: Tensor<3> = shown.unsqueeze_dim(2);
            let n_shown = shown.clone().sum_dim(1).clamp_min(1.0);
            (x * shown).sum_dim(1) / n_shown
        }
    };
    let centred = features.clone() - over_samples(features);
    let variance = over_samples(centred.clone().square());
    centred / (variance + STANDARDIZE_EPSILON).sqrt()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;

    #[test]
    fn standardized_features_forget_what_samples_share() {
        let device = Device::flex();
        let features = Tensor::<3>::from_data([[[1.0, 7.0], [3.0, 7.0], [9.0, 7.0]]], &device);
        let all = standardize(features.clone(), None);
        let [low, middle, high] = [-10.0, -4.0, 14.0].map(|x: f32| x / 3.0);
        let deviation = ((low * low + middle * middle + high * high) / 3.0).sqrt();
        let expected = [low, middle, high].map(|x| [x / deviation, 0.0]);
        let expected = Tensor::<3>::from_data([expected], &device);
        all.into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-4));

        let hidden = Tensor::<2, Bool>::from_data([[false, false, true]], &device);
        let shown = standardize(features, Some(&hidden)).narrow(1, 0, 2);
        let expected = Tensor::<3>::from_data([[[-1.0, 0.0], [1.0, 0.0]]], &device);
        shown
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-4));
    }
}
