//! Features of a layer's own input: what the layers generated so far make of each image.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use ht_cnn::{Activation, Activations, Features, Geometry};

use crate::cost::convolution;
use crate::image_encoder::SharedConvolution;
use crate::{ActivationEncoderConfig, NonlinearFeatures, ParameterInit, PartCost};

/// Which layer an encoder serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedLayer {
    /// A convolution layer: as many convolutions as the configuration says.
    Convolution {
        /// F of the CNN, which is also the encoder's.
        kernel: usize,
        /// Its output channels.
        outputs: usize,
    },
    /// The logits layer: one convolution of 3 x 3.
    Logits {
        /// What the layer reads of its input.
        features: Features,
    },
}

/// A convolution that an encoder will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlannedConvolution {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
}

/// The convolutions of the encoder of one layer's input.
///
/// A kernel larger than the input shrinks to it; convolutions that no longer fit are left out.
pub(crate) fn planned_convolutions(
    config: &ActivationEncoderConfig,
    input: Geometry,
    layer: EncodedLayer,
) -> Vec<PlannedConvolution> {
    let (kernel, depth, channels) = match layer {
        EncodedLayer::Convolution { kernel, outputs } => {
            (kernel, config.depth, input.channels.max(outputs))
        }
        EncodedLayer::Logits { .. } => (3, 1, input.channels),
    };
    let outputs = config.width.unwrap_or(channels);
    let mut side = input.height.min(input.width);
    let shrunk = side < kernel;
    let kernel = kernel.min(side);
    let mut inputs = input.channels;
    let mut planned = Vec::new();
    for i in 0..depth {
        if side < kernel {
            break;
        }
        let stride = if shrunk || i + 1 == depth { 1 } else { 2 };
        planned.push(PlannedConvolution {
            inputs,
            outputs,
            kernel,
            stride,
        });
        inputs = outputs;
        side = (side - kernel) / stride + 1;
    }
    planned
}

/// Convolutions without padding; the features are the means over the pixels of each one's
/// output, side by side, before the nonlinearity or after it.
#[derive(Module, Debug)]
pub struct ActivationEncoder {
    convolutions: Vec<SharedConvolution>,
    #[module(skip)]
    strides: Vec<usize>,
    #[module(skip)]
    nonlinear: bool,
}

impl ActivationEncoder {
    /// An encoder for one layer's input.
    pub fn new(
        config: &ActivationEncoderConfig,
        input: Geometry,
        layer: EncodedLayer,
        init: &mut ParameterInit,
    ) -> Self {
        let planned = planned_convolutions(config, input, layer);
        let nonlinear = match config.nonlinear {
            NonlinearFeatures::None => false,
            NonlinearFeatures::LogitsLayer => matches!(layer, EncodedLayer::Logits { .. }),
            NonlinearFeatures::AllLayers => true,
        };
        Self {
            convolutions: planned
                .iter()
                .map(|plan| SharedConvolution::new(plan.inputs, plan.outputs, plan.kernel, init))
                .collect(),
            strides: planned.iter().map(|plan| plan.stride).collect(),
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
