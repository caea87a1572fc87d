//! The result of the generator with its parts, for losses that look into them.

use burn::tensor::Tensor;
use ht_cnn::{GeneratedCnn, LogitsWeights};

use crate::ConvParts;

/// Keeps the ratio of the variation finite where a learned tensor is still zero, as in the
/// released code.
const VARIATION_EPSILON: f64 = 1e-8;

/// E generated CNNs, and what they were made of.
#[derive(Clone, Debug)]
pub struct Generation {
    /// What classifies the query images.
    pub cnn: GeneratedCnn,
    /// The parts of each convolution layer.
    pub layers: Vec<ConvParts>,
    /// The logits layer as the support pass has it.
    pub support_logits: LogitsWeights,
    /// `[E, S, A]`: what the image encoder makes of the support images, if there is one.
    pub image_features: Option<Tensor<3>>,
}

impl Generation {
    /// How much of the weights varies between episodes: for every tensor of a convolution
    /// layer that is both generated and learned, the squared norm of the generated part over
    /// that of the learned one, once for the support pass and once for the query pass.
    ///
    /// # Shapes
    /// - returns: `[1]` each, the mean over the episodes
    pub fn variation(&self) -> Vec<Tensor<1>> {
        self.layers
            .iter()
            .flat_map(|parts| {
                let generated = &parts.generated;
                let of_query = parts.query_learned.as_ref().unwrap_or(&parts.learned);
                [&parts.learned, of_query]
                    .into_iter()
                    .flat_map(|learned| {
                        [
                            ratio(generated.kernel.as_ref(), learned.kernel.as_ref()),
                            ratio(generated.bias.as_ref(), learned.bias.as_ref()),
                            ratio(generated.scale.as_ref(), learned.scale.as_ref()),
                            ratio(generated.shift.as_ref(), learned.shift.as_ref()),
                        ]
                    })
                    .flatten()
            })
            .collect()
    }

    /// Sum of the squares of each kernel of one CNN, as the support pass has it. Where the
    /// query pass has its own copy of a learned kernel, that is a kernel of its own; of a
    /// generated kernel with two added copies only the sum in the support pass counts.
    ///
    /// # Shapes
    /// - returns: `[1]` each, the mean over the episodes
    pub fn squared_kernels(&self) -> Vec<Tensor<1>> {
        let logits = &self.support_logits.kernel;
        let [n_episodes, _, _] = logits.dims();
        let kernels = self.layers.iter().flat_map(|parts| {
            let is_learned = parts.generated.kernel.is_none();
            let own = parts.query_learned.as_ref().filter(|_| is_learned);
            let own = own.and_then(|own| own.kernel.clone());
            [Some(parts.support_weights(n_episodes).kernel), own]
        });
        kernels
            .flatten()
            .map(|kernel| mean_square_sum(&kernel))
            .chain([mean_square_sum(logits)])
            .collect()
    }
}

/// `[E, ..]` to the mean over E of the sum of squares, `[1]`.
fn mean_square_sum<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    let n_episodes = x.dims()[0] as f64;
    x.clone().square().sum() / n_episodes
}

fn ratio<const D: usize>(
    generated: Option<&Tensor<D>>,
    learned: Option<&Tensor<D>>,
) -> Option<Tensor<1>> {
    let (generated, learned) = (generated?, learned?);
    let scale = learned.clone().square().sum() + VARIATION_EPSILON;
    Some(mean_square_sum(generated) / scale)
}
