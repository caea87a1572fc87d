//! The shape of the generated CNN, worked out layer by layer before anything runs.
//!
//! [`CnnConfig`] is what a person writes; [`CnnSpec`] has every layer's sizes, or there is
//! an error that names the layer which does not fit.

use serde::{Deserialize, Serialize};

use crate::{CnnError, Geometry, NormStatistics};

/// The nonlinearity of the convolution layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x for x > 0, 0.01 x otherwise.
    LeakyRelu,
}

/// Zeros around the input of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// As many as keep ceil(side / stride) pixels; an odd one goes to the end, as in TensorFlow.
    Same,
    /// None.
    Valid,
}

impl Padding {
    /// Zeros before and after a side that a kernel runs along.
    pub fn zeros(self, side: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Self::Valid => (0, 0),
            Self::Same => {
                let kept = side.div_ceil(stride);
                let total = ((kept - 1) * stride + kernel).saturating_sub(side);
                (total / 2, total - total / 2)
            }
        }
    }
}

/// What follows the activation of a convolution layer.
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

impl Features {
    /// P: how many there are of activations of this shape.
    pub fn count(self, activations: Geometry) -> usize {
        let Geometry {
            channels,
            height,
            width,
        } = activations;
        match self {
            Self::Flatten => channels * height * width,
            Self::Mean => channels,
        }
    }
}

/// The CNN as a person writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CnnConfig {
    /// Convolution layers.
    pub depth: usize,
    /// Channels of every convolution layer.
    pub channels: usize,
    /// F: side of the square kernels.
    pub kernel: usize,
    /// Stride of the convolutions.
    pub stride: usize,
    /// Padding of the convolutions.
    pub padding: Padding,
    /// Pooling after the activation.
    pub pooling: Pooling,
    /// Whether the convolutions have a bias.
    #[serde(default)]
    pub bias: bool,
    /// Nonlinearity.
    pub activation: Activation,
    /// Input of the logits layer.
    pub features: Features,
    /// Statistics of the query pass.
    pub norm_statistics: NormStatistics,
}

impl Default for CnnConfig {
    /// The paper's CNN: four layers of 8 channels, 3 x 3, pooled, as in section 5.1.
    fn default() -> Self {
        Self {
            depth: 4,
            channels: 8,
            kernel: 3,
            stride: 1,
            padding: Padding::Same,
            pooling: Pooling::Max,
            bias: false,
            activation: Activation::Relu,
            features: Features::Flatten,
            norm_statistics: NormStatistics::QueryBatch,
        }
    }
}

/// One convolution layer, all sizes known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvSpec {
    /// What comes in.
    pub input: Geometry,
    /// What the convolution gives, before the pooling.
    pub convolved: Geometry,
    /// What goes out.
    pub output: Geometry,
    /// F: side of the square kernel.
    pub kernel: usize,
    /// Stride of the convolution.
    pub stride: usize,
    /// Zeros before and after the rows, and before and after the columns.
    pub padding: [(usize, usize); 2],
    /// Pooling after the activation.
    pub pooling: Pooling,
    /// Whether the convolution has a bias.
    pub bias: bool,
    /// Nonlinearity.
    pub activation: Activation,
}

/// A CNN that fits its images: convolution layers, then one logits layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CnnSpec {
    /// Shape of the images.
    pub image: Geometry,
    /// The convolution layers.
    pub layers: Vec<ConvSpec>,
    /// Input of the logits layer.
    pub features: Features,
    /// N: ways.
    pub ways: usize,
    /// Statistics of the query pass.
    pub norm_statistics: NormStatistics,
}

impl CnnSpec {
    /// Works out every layer for images of a given shape.
    ///
    /// # Errors
    /// A size that is 0 or beyond all reason; a layer whose input is smaller than its kernel or its
    /// pooling window.
    pub fn new(config: &CnnConfig, image: Geometry, ways: usize) -> Result<Self, CnnError> {
        for (key, value, most) in [
            ("cnn.depth", config.depth, 64),
            ("cnn.channels", config.channels, 4096),
            ("cnn.kernel", config.kernel, 64),
            ("cnn.stride", config.stride, 64),
            ("image channels", image.channels, 4096),
            ("data.image_size", image.height, 4096),
            ("data.image_size", image.width, 4096),
            ("episodes.ways", ways, 1 << 16),
        ] {
            if !(1..=most).contains(&value) {
                return Err(CnnError::BadSize { key, value, most });
            }
        }
        let mut input = image.bounded(0)?;
        let layers = (1..=config.depth)
            .map(|layer| {
                let spec = conv_spec(config, input, layer)?;
                spec.convolved.bounded(layer)?;
                input = spec.output;
                Ok(spec)
            })
            .collect::<Result<Vec<_>, CnnError>>()?;
        Ok(Self {
            image,
            layers,
            features: config.features,
            ways,
            norm_statistics: config.norm_statistics,
        })
    }

    /// Shape of the last activations, the input of the logits layer.
    pub fn last_activations(&self) -> Geometry {
        self.layers.last().map_or(self.image, |layer| layer.output)
    }

    /// P: features per image that the logits layer sees.
    pub fn n_features(&self) -> usize {
        self.features.count(self.last_activations())
    }

    /// Weights of one CNN: kernels, biases, scales and shifts, logits kernel and bias.
    pub fn n_weights(&self) -> usize {
        let layers: usize = self
            .layers
            .iter()
            .map(|layer| {
                let per_channel = 2 + usize::from(layer.bias);
                layer.kernel_len() + per_channel * layer.output.channels
            })
            .sum();
        layers + self.ways * (self.n_features() + 1)
    }

    /// Multiply-adds that one image costs in the convolutions and the logits layer.
    pub fn n_multiply_adds(&self) -> usize {
        let layers: usize = self
            .layers
            .iter()
            .map(|layer| layer.kernel_len() * layer.convolved.height * layer.convolved.width)
            .sum();
        layers + self.ways * self.n_features()
    }
}

impl ConvSpec {
    /// Values of the kernel: O · I · F · F.
    pub fn kernel_len(&self) -> usize {
        self.output.channels * self.input.channels * self.kernel * self.kernel
    }
}

fn conv_spec(config: &CnnConfig, input: Geometry, layer: usize) -> Result<ConvSpec, CnnError> {
    let &CnnConfig {
        channels,
        kernel,
        stride,
        padding,
        pooling,
        bias,
        activation,
        ..
    } = config;
    let too_small = |part, needed, height, width| CnnError::TooSmall {
        layer,
        part,
        needed,
        height,
        width,
    };
    if padding == Padding::Valid && input.height.min(input.width) < kernel {
        return Err(too_small("kernel", kernel, input.height, input.width));
    }
    let zeros = [input.height, input.width].map(|side| padding.zeros(side, kernel, stride));
    let convolve = |side: usize, (before, after): (usize, usize)| {
        (before + side + after - kernel) / stride + 1
    };
    let (rows, columns) = (
        convolve(input.height, zeros[0]),
        convolve(input.width, zeros[1]),
    );
    let convolved = Geometry {
        channels,
        height: rows,
        width: columns,
    };
    let output = match pooling {
        Pooling::None => convolved,
        Pooling::Max if rows.min(columns) < 2 => {
            return Err(too_small("pooling", 2, rows, columns));
        }
        Pooling::Max => Geometry {
            channels,
            height: rows / 2,
            width: columns / 2,
        },
    };
    Ok(ConvSpec {
        input,
        convolved,
        output,
        kernel,
        stride,
        padding: zeros,
        pooling,
        bias,
        activation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(config: &CnnConfig, side: usize) -> Result<Vec<usize>, String> {
        let image = Geometry {
            channels: 3,
            height: side,
            width: side,
        };
        CnnSpec::new(config, image, 5)
            .map(|spec| spec.layers.iter().map(|l| l.output.height).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_papers_cnn_at_28_and_84_pixels() {
        let config = CnnConfig::default();
        assert_eq!(sides(&config, 28), Ok(vec![14, 7, 3, 1]));
        assert_eq!(sides(&config, 84), Ok(vec![42, 21, 10, 5]));
    }

    #[test]
    fn strided_convolutions_instead_of_pooling() {
        let config = CnnConfig {
            stride: 2,
            pooling: Pooling::None,
            ..CnnConfig::default()
        };
        assert_eq!(sides(&config, 28), Ok(vec![14, 7, 4, 2]));
        let valid = CnnConfig {
            padding: Padding::Valid,
            depth: 3,
            ..config
        };
        assert_eq!(sides(&valid, 28), Ok(vec![13, 6, 2]));
    }

    #[test]
    fn an_impossible_geometry_names_the_layer() {
        let config = CnnConfig {
            depth: 5,
            ..CnnConfig::default()
        };
        let error = sides(&config, 28).expect_err("28 pixels carry four poolings");
        assert!(
            error.contains("layer 5") && error.contains("1 x 1"),
            "{error}"
        );
        let config = CnnConfig {
            stride: 2,
            padding: Padding::Valid,
            pooling: Pooling::None,
            ..CnnConfig::default()
        };
        let error = sides(&config, 28).expect_err("2 pixels are less than a kernel");
        assert!(
            error.contains("layer 4") && error.contains("kernel"),
            "{error}"
        );
    }

    #[test]
    fn sizes_beyond_reason_are_refused_before_anything_is_made() {
        let with = |change: fn(&mut CnnConfig)| {
            let mut config = CnnConfig::default();
            change(&mut config);
            sides(&config, 28).expect_err("too large")
        };
        let error = with(|config| config.depth = usize::MAX);
        assert!(
            error.contains("cnn.depth") && error.contains("1 to 64"),
            "{error}"
        );
        let error = with(|config| config.channels = usize::MAX);
        assert!(error.contains("cnn.channels"), "{error}");
        let error = sides(&CnnConfig::default(), usize::MAX).expect_err("too large");
        assert!(error.contains("data.image_size"), "{error}");
        let wrong = [(0, 28, 28), (usize::MAX, 28, 28), (1, 0, 28), (1, 28, 0)];
        for (channels, height, width) in wrong {
            let image = Geometry {
                channels,
                height,
                width,
            };
            let error = CnnSpec::new(&CnnConfig::default(), image, 5).expect_err("no image");
            let expected = if height.min(width) == 0 {
                "data.image_size is 0"
            } else {
                "image channels is"
            };
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        let wide = CnnConfig {
            channels: 4096,
            ..CnnConfig::default()
        };
        let error = sides(&wide, 1024).expect_err("too large");
        assert!(
            error.contains("layer 1") && error.contains("4294967296"),
            "{error}"
        );
    }

    #[test]
    fn odd_padding_goes_to_the_end() {
        assert_eq!(Padding::Same.zeros(28, 3, 2), (0, 1));
        assert_eq!(Padding::Same.zeros(28, 3, 1), (1, 1));
        assert_eq!(Padding::Same.zeros(7, 3, 2), (1, 1));
        assert_eq!(Padding::Same.zeros(6, 1, 3), (0, 0));
    }
}
