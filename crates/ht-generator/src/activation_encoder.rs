//! Features of a layer's own input: what the layers generated so far make of each image.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use ht_cnn::{Activation, Activations, Geometry};

use crate::cost::convolution;
use crate::image_encoder::SharedConvolution;
use crate::{ActivationEncoderConfig, NonlinearFeatures, ParameterInit, PartCost};

/// Which layer an encoder serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncodedLayer {
    /// A convolution layer: as many convolutions as the configuration says.
    Convolution {
        /// F of the CNN, which is also the encoder's.
        kernel: usize,
        /// Its output channels.
        outputs: usize,
    },
    /// The logits layer: one convolution of 3 x 3.
    Logits,
}

/// Convolutions without padding; the features are the means over the pixels of each one's
/// output, side by side, before the nonlinearity or after it.
#[derive(Module, Debug)]
pub struct ActivationEncoder {
    convolutions: Vec<SharedConvolution>,
    #[module(skip)]
    strides: Vec<usize>,
    #[module(skip)]
    width: usize,
    #[module(skip)]
    nonlinear: bool,
}

impl ActivationEncoder {
    /// An encoder for one layer's input.
    ///
    /// A kernel larger than the input shrinks to it; convolutions that no longer fit are
    /// left out.
    pub(crate) fn new(
        config: &ActivationEncoderConfig,
        input: Geometry,
        layer: EncodedLayer,
        init: &mut ParameterInit,
    ) -> Self {
        let (kernel, depth, channels) = match layer {
            EncodedLayer::Convolution { kernel, outputs } => {
                (kernel, config.depth, input.channels.max(outputs))
            }
            EncodedLayer::Logits => (3, 1, input.channels),
        };
        let width = config.width.unwrap_or(channels);
        let nonlinear = match config.nonlinear {
            NonlinearFeatures::None => false,
            NonlinearFeatures::LogitsLayer => layer == EncodedLayer::Logits,
            NonlinearFeatures::AllLayers => true,
        };
        let side = input.height.min(input.width);
        let shrunk = side < kernel;
        let kernel = kernel.min(side);
        let mut convolutions = Vec::new();
        let mut strides = Vec::new();
        let (mut channels, mut side) = (input.channels, side);
        for i in 0..depth {
            if side < kernel {
                break;
            }
            let stride = if shrunk || i + 1 == depth { 1 } else { 2 };
            convolutions.push(SharedConvolution::new(channels, width, kernel, init));
            strides.push(stride);
            channels = width;
            side = (side - kernel) / stride + 1;
        }
        Self {
            convolutions,
            strides,
            width,
            nonlinear,
        }
    }

    /// Multiply-adds for `n` inputs; `is_image` where the input needs no gradient.
    pub(crate) fn cost(&self, input: Geometry, n: usize, is_image: bool) -> PartCost {
        let mut sides = [input.height, input.width];
        let layers = self.convolutions.iter().zip(&self.strides).enumerate();
        layers
            .map(|(i, (layer, stride))| {
                let [_, _, kernel, _] = layer.kernel.dims();
                sides = sides.map(|side| (side - kernel) / stride + 1);
                let forward = convolution(layer.kernel_len(), sides, n);
                PartCost::layer(forward, i == 0 && is_image)
            })
            .sum()
    }

    /// Features per image.
    pub fn n_features(&self) -> usize {
        self.convolutions.len() * self.width
    }

    /// Features of a layer's input.
    ///
    /// # Shapes
    /// - `activations`: S images of each of E episodes
    /// - returns: `[E, S, A]`
    pub fn forward(&self, activations: Activations) -> Tensor<3> {
        let activation = self.nonlinear.then_some(Activation::Relu);
        let mut x = activations;
        let mut features = Vec::with_capacity(self.convolutions.len());
        for (i, (convolution, &stride)) in self.convolutions.iter().zip(&self.strides).enumerate() {
            if i > 0 && !self.nonlinear {
                x = x.map(relu);
            }
            x = convolution.forward(x, stride, [(0, 0); 2], activation);
            features.push(x.pixel_means());
        }
        Tensor::cat(features, 2)
    }
}
