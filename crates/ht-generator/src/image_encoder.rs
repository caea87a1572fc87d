//! Features of the raw support images, the same for every layer's generator.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, assert_shape};
use ht_cnn::Padding;

use crate::{ImageEncoderConfig, ParameterInit, Pass};

const KERNEL: usize = 3;

/// A convolution whose kernel and bias are parameters.
#[derive(Module, Debug)]
pub(crate) struct Convolution {
    /// `[O, I, F, F]`.
    pub(crate) kernel: Param<Tensor<4>>,
    /// `[O]`.
    pub(crate) bias: Param<Tensor<1>>,
}

impl Convolution {
    pub(crate) fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        init: &mut ParameterInit,
    ) -> Self {
        let positions = kernel * kernel;
        Self {
            kernel: init.glorot(
                [outputs, inputs, kernel, kernel],
                positions * inputs,
                positions * outputs,
            ),
            bias: init.constant([outputs], 0.0),
        }
    }

    /// `[B, I, H, W]` to `[B, O, H', W']`.
    pub(crate) fn forward(
        &self,
        images: Tensor<4>,
        stride: usize,
        padding: [(usize, usize); 2],
    ) -> Tensor<4> {
        let options = ConvOptions::new_with_padding([stride; 2], padding, [1, 1], 1);
        conv2d(images, self.kernel.val(), Some(self.bias.val()), options)
    }
}

/// Convolutions over the raw images, then the mean over the pixels.
#[derive(Module, Debug)]
pub struct ImageEncoder {
    convolutions: Vec<Convolution>,
    #[module(skip)]
    padding: Padding,
    #[module(skip)]
    dropout: f64,
}

impl ImageEncoder {
    /// An encoder for images of `channels` channels.
    pub fn new(config: &ImageEncoderConfig, channels: usize, init: &mut ParameterInit) -> Self {
        let convolutions = (0..config.depth)
            .map(|i| {
                let inputs = if i == 0 { channels } else { config.width };
                Convolution::new(inputs, config.width, KERNEL, init)
            })
            .collect();
        Self {
            convolutions,
            padding: config.padding,
            dropout: config.dropout,
        }
    }

    /// Features of support images.
    ///
    /// # Shapes
    /// - `images`: `[E, S, C, H, W]`
    /// - returns: `[E, S, A]`, A the width of the encoder
    pub fn forward(&self, images: Tensor<5>, pass: &mut Pass) -> Tensor<3> {
        let [e, s, c, h, w] = images.dims();
        let mut x = images.reshape([e * s, c, h, w]);
        for (i, convolution) in self.convolutions.iter().enumerate() {
            let is_last = i + 1 == self.convolutions.len();
            let stride = if is_last { 1 } else { 2 };
            let [_, _, h, w] = x.dims();
            let padding = [h, w].map(|side| self.padding.zeros(side, KERNEL, stride));
            x = relu(convolution.forward(x, stride, padding));
        }
        let features = pixel_mean(x);
        let [_, a] = features.dims();
        assert_shape!(features, [e * s, a]);
        let features = pass.drop(features.reshape([e, s, a]), self.dropout);
        pass.note("image_features", &features);
        features
    }
}

/// `[B, C, H, W]` to `[B, C]`.
pub(crate) fn pixel_mean(x: Tensor<4>) -> Tensor<2> {
    let [b, c, h, w] = x.dims();
    x.reshape([b, c, h * w]).mean_dim(2).squeeze_dim(2)
}
