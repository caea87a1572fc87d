//! What is learned about the statistics of a layer's images, for the normalisation of a CNN that
//! has seen few of them.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use ht_cnn::{BatchStatistics, PriorStatistics};

use crate::ParameterInit;

/// What the larger of four half normal numbers has: rectified and pooled images begin with that.
const FIRST_MEAN: f32 = 0.7;

/// Mean and deviation of each channel, in lengths of its kernel: a kernel twice as long makes both
/// twice as large.
#[derive(Module, Debug)]
pub struct NormPrior {
    /// `[O]`.
    mean: Param<Tensor<1>>,
    /// `[O]`, as a logarithm.
    deviation: Param<Tensor<1>>,
    /// `[1]`: the images that these statistics count as, as a logarithm.
    n_images: Param<Tensor<1>>,
}

impl NormPrior {
    /// Statistics of `o` channels that count as one image.
    pub(crate) fn new(o: usize, init: &ParameterInit) -> Self {
        Self {
            mean: init.constant([o], FIRST_MEAN),
            deviation: init.constant([o], FIRST_MEAN.ln()),
            n_images: init.constant([1], 0.0),
        }
    }

    /// Parameters for `o` channels.
    pub(crate) fn n_parameters(o: usize) -> usize {
        2 * o + 1
    }

    /// The statistics under the kernels of E episodes.
    ///
    /// # Shapes
    /// - `kernel`: `[E, O, I, F, F]`
    pub fn statistics(&self, kernel: &Tensor<5>) -> PriorStatistics {
        let [e, o, i, f, _] = kernel.dims();
        let squares = kernel.clone().reshape([e, o, i * f * f]).square();
        let length = (squares.sum_dim(2).squeeze_dim::<2>(2) + 1e-12).sqrt();
        let deviation = self.deviation.val().exp().unsqueeze() * length.clone();
        PriorStatistics {
            statistics: BatchStatistics {
                mean: self.mean.val().unsqueeze() * length,
                variance: deviation.square(),
            },
            n_images: self.n_images.val().exp(),
        }
    }
}
