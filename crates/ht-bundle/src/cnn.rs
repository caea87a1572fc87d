//! The CNN of a bundle: plain numbers, one value per weight, no tensor library.
//!
//! One layer is convolution, bias, activation, pooling, then scale and shift per channel: the
//! batch normalisation, folded from the statistics of the support images. The zeros around the
//! next layer's input come after the shift, so the two cannot be folded into the next kernel.

use serde::{Deserialize, Serialize};

use crate::BundleError;

/// C, H, W of an image or of activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// C.
    pub channels: usize,
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
}

impl Image {
    /// Values of one image.
    pub fn n_values(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// The nonlinearity behind a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x for x > 0, 0.01 x otherwise.
    LeakyRelu,
}

/// What follows the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Maximum of 2 x 2 pixels, stride 2; an odd last row or column is dropped.
    Max,
    /// Nothing.
    None,
}

/// How the last activations become the features of the logits layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// All values, in H, W, C order.
    Flatten,
    /// The mean over the pixels.
    Mean,
}

/// One convolution layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// `[O, I, F, F]`.
    pub kernel: Vec<f32>,
    /// O: output channels.
    pub channels: usize,
    /// F: side of the square kernel.
    pub side: usize,
    /// Stride of the convolution, in rows and in columns.
    pub stride: usize,
    /// Zeros before and after the rows, and before and after the columns.
    pub padding: [(usize, usize); 2],
    /// `[O]`.
    pub bias: Option<Vec<f32>>,
    /// Nonlinearity.
    pub activation: Activation,
    /// Pooling after the activation.
    pub pooling: Pooling,
    /// Factor of the batch normalisation, gamma / sqrt(variance + epsilon). `[O]`.
    pub scale: Vec<f32>,
    /// Offset of the batch normalisation, beta - mean · scale. `[O]`.
    pub shift: Vec<f32>,
}

/// The last layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    /// `[N, P]`, the features in H, W, C order.
    pub kernel: Vec<f32>,
    /// `[N]`.
    pub bias: Vec<f32>,
}

/// A CNN with all its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Cnn {
    /// Shape of the images.
    pub image: Image,
    /// The convolution layers, at least one.
    pub layers: Vec<Layer>,
    /// Input of the logits layer.
    pub features: Features,
    /// The last layer.
    pub logits: Logits,
}

/// What goes through one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// What comes in.
    pub input: Image,
    /// What the convolution gives, before the pooling.
    pub convolved: Image,
    /// What goes out.
    pub output: Image,
}

impl Layer {
    /// The shapes around this layer.
    ///
    /// # Errors
    /// An input smaller than the kernel or the pooling window, a size of 0 or beyond all reason.
    pub fn shape(&self, input: Image) -> Result<LayerShape, &'static str> {
        let zeros = self
            .padding
            .iter()
            .flat_map(|&(before, after)| [before, after]);
        let largest = [self.channels, self.side, self.stride, input.channels]
            .into_iter()
            .chain([input.height, input.width])
            .chain(zeros)
            .max();
        if self.stride == 0 || self.side == 0 || largest > Some(4096) {
            return Err("a size of 0 or above 4096");
        }
        let convolve = |side: usize, (before, after): (usize, usize)| {
            let room = (before + side + after).checked_sub(self.side)?;
            Some(room / self.stride + 1)
        };
        let height = convolve(input.height, self.padding[0]);
        let width = convolve(input.width, self.padding[1]);
        let (height, width) = height
            .zip(width)
            .ok_or("its input is smaller than its kernel")?;
        let convolved = Image {
            channels: self.channels,
            height,
            width,
        };
        let output = match self.pooling {
            Pooling::None => convolved,
            Pooling::Max if height.min(width) < 2 => {
                return Err("its convolution gives less than the 2 x 2 pixels of its pooling");
            }
            Pooling::Max => Image {
                height: height / 2,
                width: width / 2,
                ..convolved
            },
        };
        Ok(LayerShape {
            input,
            convolved,
            output,
        })
    }

    /// Values of the kernel: O · I · F · F.
    pub fn kernel_len(&self, input: Image) -> usize {
        self.channels * input.channels * self.side * self.side
    }
}

impl Cnn {
    /// N: labels.
    pub fn n_labels(&self) -> usize {
        self.logits.bias.len()
    }

    /// The shapes around each layer.
    ///
    /// # Errors
    /// No layer, or one that does not fit.
    pub fn shapes(&self) -> Result<Vec<LayerShape>, BundleError> {
        if self.layers.is_empty() {
            let cause = "none, expected at least one";
            return Err(BundleError::value("network.layers", cause));
        }
        let mut input = self.image;
        let numbered = self.layers.iter().zip(1..);
        let shape = |(layer, number): (&Layer, usize)| {
            let shape = layer.shape(input);
            let shape = shape.map_err(|cause| BundleError::value(layer_name(number), cause))?;
            input = shape.output;
            Ok(shape)
        };
        numbered.map(shape).collect()
    }

    /// P: features per image that the logits layer sees.
    ///
    /// # Errors
    /// A layer that does not fit.
    pub fn n_features(&self) -> Result<usize, BundleError> {
        let last = self
            .shapes()?
            .last()
            .map_or(self.image, |shape| shape.output);
        Ok(match self.features {
            Features::Flatten => last.n_values(),
            Features::Mean => last.channels,
        })
    }

    /// Weights: kernels, biases, scales and shifts, logits kernel and bias.
    pub fn n_weights(&self) -> usize {
        let layers = self.layers.iter().map(|layer| {
            let bias = layer.bias.as_ref().map_or(0, Vec::len);
            layer.kernel.len() + bias + layer.scale.len() + layer.shift.len()
        });
        layers.sum::<usize>() + self.logits.kernel.len() + self.logits.bias.len()
    }

    /// Multiply-adds that one image costs in the convolutions and the logits layer.
    ///
    /// # Errors
    /// A layer that does not fit.
    pub fn n_multiply_adds(&self) -> Result<usize, BundleError> {
        let shapes = self.shapes()?;
        let layers = self.layers.iter().zip(&shapes).map(|(layer, shape)| {
            layer.kernel.len() * shape.convolved.height * shape.convolved.width
        });
        Ok(layers.sum::<usize>() + self.logits.kernel.len())
    }

    /// Checks that every tensor has the length that the sizes ask for, and only finite numbers.
    pub(crate) fn check(&self) -> Result<(), BundleError> {
        let shapes = self.shapes()?;
        for ((layer, shape), number) in self.layers.iter().zip(&shapes).zip(1..) {
            let name = |part: &str| format!("{}, {part}", layer_name(number));
            check_values(name("kernel"), &layer.kernel, layer.kernel_len(shape.input))?;
            if let Some(bias) = &layer.bias {
                check_values(name("bias"), bias, layer.channels)?;
            }
            check_values(name("scale"), &layer.scale, layer.channels)?;
            check_values(name("shift"), &layer.shift, layer.channels)?;
        }
        let n_labels = self.n_labels();
        let len = n_labels * self.n_features()?;
        check_values("logits, kernel".to_owned(), &self.logits.kernel, len)?;
        check_values("logits, bias".to_owned(), &self.logits.bias, n_labels)
    }
}

fn layer_name(number: usize) -> String {
    format!("layer {number}")
}

/// Refuses another number of values, and numbers that are none.
pub(crate) fn check_values(name: String, values: &[f32], len: usize) -> Result<(), BundleError> {
    if values.len() != len {
        let found = values.len();
        return Err(BundleError::value(
            name,
            format!("{found} values, expected {len}"),
        ));
    }
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(BundleError::value(
            name,
            format!(
                "value {index} is {}, expected a finite number",
                values[index]
            ),
        )),
    }
}
