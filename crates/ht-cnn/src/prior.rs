//! Statistics that are known before an episode's images are seen.
//!
//! A support set of five images says little about the mean of a channel. Generated kernels resemble
//! each other, so much of it can be learned: the learned statistics count as some images more.

use burn::tensor::Tensor;

use crate::BatchStatistics;

/// Learned statistics of the images before a layer's normalisation.
#[derive(Clone, Debug)]
pub struct PriorStatistics {
    /// For the kernels of E episodes.
    pub statistics: BatchStatistics,
    /// `[1]`: the images that they count as.
    pub n_images: Tensor<1>,
}

impl PriorStatistics {
    /// The statistics of these images and an episode's own together.
    ///
    /// # Shapes
    /// - `n_shown`: `[E]`, the episode's images
    pub(crate) fn joined(&self, own: BatchStatistics, n_shown: Tensor<1>) -> BatchStatistics {
        let n_episodes = n_shown.dims()[0];
        let n_prior = self.n_images.clone().expand([n_episodes]);
        let share: Tensor<2> = (n_shown.clone() / (n_shown + n_prior)).unsqueeze_dim(1);
        let rest = share.clone().neg() + 1.0;
        let prior = &self.statistics;
        let apart = own.mean.clone() - prior.mean.clone();
        BatchStatistics {
            mean: own.mean * share.clone() + prior.mean.clone() * rest.clone(),
            variance: own.variance * share.clone()
                + prior.variance.clone() * rest.clone()
                + apart.square() * share * rest,
        }
    }
}
