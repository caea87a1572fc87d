//! A generator whose convolutions know nothing of the episode: what it writes for them on average
//! stands in the place of what it writes for each. Compared with the generator itself it tells
//! what an episode's own convolutions are worth, without another training and its seed.

use burn::tensor::Tensor;
use ht_cnn::PartialWeights;
use ht_episodes::SupportSet;

use crate::{ConvParts, Pass, WeightGenerator};

/// The sum over episodes of what is generated for one layer, as tensors of one episode.
fn sum_over_episodes(weights: &PartialWeights) -> PartialWeights {
    let vector = |x: &Option<Tensor<2>>| x.as_ref().map(|x| x.clone().sum_dim(0));
    PartialWeights {
        kernel: weights.kernel.as_ref().map(|x| x.clone().sum_dim(0)),
        bias: vector(&weights.bias),
        scale: vector(&weights.scale),
        shift: vector(&weights.shift),
    }
}

impl WeightGenerator {
    /// The same generator with the mean of its convolutions over the episodes of all `supports` in
    /// the place of each episode's own; the logits layer is generated as ever, from what those
    /// convolutions show. None if it generates no convolution, or if there is no support set.
    ///
    /// # Shapes
    /// as in [`generate`](Self::generate); the support sets may differ in E and S
    pub fn with_mean_convolutions(
        &self,
        supports: impl IntoIterator<Item = SupportSet>,
    ) -> Option<Self> {
        self.layers()
            .iter()
            .find(|layer| layer.generator().is_some())?;
        let mut n_episodes = 0;
        let mut sums: Option<Vec<PartialWeights>> = None;
        for support in supports {
            n_episodes += support.images.dims()[0];
            let parts = self.generate_in(&support, &mut Pass::evaluation()).layers;
            let of_these = |parts: &ConvParts| sum_over_episodes(&parts.generated);
            let of_these: Vec<_> = parts.iter().map(of_these).collect();
            sums = Some(match sums {
                None => of_these,
                Some(sums) => {
                    let pairs = sums.into_iter().zip(of_these);
                    pairs.map(|(sum, these)| sum.plus(these)).collect()
                }
            });
        }
        let means = sums?
            .into_iter()
            .map(|sum| sum.times(1.0 / n_episodes as f64));
        let layers = self.layers().iter().cloned().zip(means);
        let layers = layers.map(|(source, mean)| source.with_shared(&mean));
        Some(self.clone().with_layers(layers.collect()))
    }
}
