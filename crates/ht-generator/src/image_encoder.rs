//! Features of the raw support images, the same for every layer's generator.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, assert_shape};
use ht_cnn::{Activation, Activations, Convolution, Padding, Pooling, convolve};

use crate::cost::convolution;
use crate::{ImageEncoderConfig, ParameterInit, PartCost, Pass};

/// F of every convolution.
pub(crate) const KERNEL: usize = 3;

/// A convolution whose kernel and bias are parameters, the same for all episodes.
#[derive(Module, Debug)]
pub(crate) struct SharedConvolution {
    /// `[O, I, F, F]`.
    pub(crate) kernel: Param<Tensor<4>>,
    /// `[O]`.
    pub(crate) bias: Param<Tensor<1>>,
}

impl SharedConvolution {
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

    /// O · I · F · F.
    pub(crate) fn kernel_len(&self) -> usize {
        self.kernel.shape().num_elements()
    }

    /// Convolves B images of each of E episodes, without pooling.
    pub(crate) fn forward(
        &self,
        images: Activations,
        stride: usize,
        padding: [(usize, usize); 2],
        activation: Option<Activation>,
    ) -> Activations {
        let e = images.n_episodes();
        let kernel = self.kernel.val();
        let [o, i, f, _] = kernel.dims();
        convolve(
            images,
            kernel.unsqueeze::<5>().expand([e, o, i, f, f]),
            Some(self.bias.val().unsqueeze::<2>().expand([e, o])),
            &Convolution {
                stride,
                padding,
                activation,
                pooling: Pooling::None,
            },
        )
    }
}

/// Convolutions over the raw images, then the mean over the pixels.
#[derive(Module, Debug)]
pub struct ImageEncoder {
    convolutions: Vec<SharedConvolution>,
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
                SharedConvolution::new(inputs, config.width, KERNEL, init)
            })
            .collect();
        Self {
            convolutions,
            padding: config.padding,
            dropout: config.dropout,
        }
    }

    /// Of convolution `i`: all but the last halve the sides.
    fn stride(&self, i: usize) -> usize {
        if i + 1 == self.convolutions.len() {
            1
        } else {
            2
        }
    }

    /// Multiply-adds for `n` images with these sides.
    pub(crate) fn cost(&self, mut sides: [usize; 2], n: usize) -> PartCost {
        let layers = self.convolutions.iter().enumerate();
        layers
            .map(|(i, layer)| {
                let stride = self.stride(i);
                sides = sides.map(|side| {
                    let (before, after) = self.padding.zeros(side, KERNEL, stride);
                    (side + before + after - KERNEL) / stride + 1
                });
                let forward = convolution(layer.kernel_len(), sides, n);
                PartCost::layer(forward, i == 0)
            })
            .sum()
    }

    /// Features of support images.
    ///
    /// # Shapes
    /// - `images`: `[E, S, C, H, W]`
    /// - returns: `[E, S, A]`, A the width of the encoder
    pub fn forward(&self, images: Tensor<5>, pass: &mut Pass) -> Tensor<3> {
        let [e, s, c, h, w] = images.dims();
        // One kernel for all: as good as one episode with all images.
        let mut x = Activations::from_images(images.reshape([1, e * s, c, h, w]));
        for (i, convolution) in self.convolutions.iter().enumerate() {
            let stride = self.stride(i);
            let padding = x
                .sides()
                .map(|side| self.padding.zeros(side, KERNEL, stride));
            x = convolution.forward(x, stride, padding, Some(Activation::Relu));
        }
        let features = x.pixel_means();
        let [_, _, a] = features.dims();
        assert_shape!(features, [1, e * s, a]);
        let features = pass.drop(features.reshape([e, s, a]), self.dropout);
        pass.note("image_features", &features);
        features
    }
}
