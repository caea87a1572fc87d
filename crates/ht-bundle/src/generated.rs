//! From a generated CNN on a device to plain numbers: the only file that knows tensors, behind the
//! feature `generated`.

use burn::tensor::Tensor;
use ht_cnn::{BATCH_NORM_EPSILON, ConvSpec, GeneratedCnn};

use crate::{Activation, BundleError, Cnn, Features, Image, Layer, Logits, Pooling};

impl Cnn {
    /// Takes the CNN of one episode off its device, with the batch normalisation folded into a scale
    /// and a shift per channel, and the logits of the first `n_labels` labels.
    ///
    /// # Errors
    /// A CNN that was not generated with support statistics: what it says of an image depends on the
    /// other images, so it cannot be run on one.
    pub fn from_generated(
        cnn: &GeneratedCnn,
        episode: usize,
        n_labels: usize,
    ) -> Result<Self, BundleError> {
        let Some(statistics) = &cnn.statistics else {
            let cause = "is query-batch, expected support: a CNN that runs on one image at a time";
            return Err(BundleError::value("norm_statistics", cause));
        };
        let layers = cnn.layers.iter().zip(statistics).zip(&cnn.spec.layers);
        let layers = layers.map(|((weights, statistics), spec)| {
            let row = |tensor: &Tensor<2>| values(&tensor.clone().narrow(0, episode, 1));
            let (mean, variance) = (row(&statistics.mean), row(&statistics.variance));
            let gamma_beta = row(&weights.scale).into_iter().zip(row(&weights.shift));
            let folded = gamma_beta.zip(mean.into_iter().zip(variance));
            let (scale, shift) = folded
                .map(|((gamma, beta), (mean, variance))| {
                    // Folded with more digits than it is used with.
                    let deviation = (f64::from(variance) + BATCH_NORM_EPSILON).sqrt();
                    let scale = f64::from(gamma) / deviation;
                    (
                        scale as f32,
                        (f64::from(beta) - f64::from(mean) * scale) as f32,
                    )
                })
                .unzip();
            Layer {
                kernel: values(&weights.kernel.clone().narrow(0, episode, 1)),
                bias: weights.bias.as_ref().map(row),
                scale,
                shift,
                ..shape(spec)
            }
        });
        let logits = &cnn.logits;
        let kernel = logits.kernel.clone().narrow(0, episode, 1);
        let bias = logits.bias.clone().narrow(0, episode, 1);
        Ok(Self {
            image: Image {
                channels: cnn.spec.image.channels,
                height: cnn.spec.image.height,
                width: cnn.spec.image.width,
            },
            layers: layers.collect(),
            features: match cnn.spec.features {
                ht_cnn::Features::Flatten => Features::Flatten,
                ht_cnn::Features::Mean => Features::Mean,
            },
            logits: Logits {
                kernel: values(&kernel.narrow(1, 0, n_labels)),
                bias: values(&bias.narrow(1, 0, n_labels)),
            },
        })
    }
}

/// A layer of the right shape, without weights.
fn shape(spec: &ConvSpec) -> Layer {
    Layer {
        kernel: Vec::new(),
        channels: spec.output.channels,
        side: spec.kernel,
        stride: spec.stride,
        padding: spec.padding,
        bias: None,
        activation: match spec.activation {
            ht_cnn::Activation::Relu => Activation::Relu,
            ht_cnn::Activation::LeakyRelu => Activation::LeakyRelu,
        },
        pooling: match spec.pooling {
            ht_cnn::Pooling::Max => Pooling::Max,
            ht_cnn::Pooling::None => Pooling::None,
        },
        scale: Vec::new(),
        shift: Vec::new(),
    }
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}
