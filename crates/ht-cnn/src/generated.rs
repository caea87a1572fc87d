//! The generated CNN: weights of every layer, ready to classify query images.

use burn::tensor::{Bool, Tensor};

use crate::{
    Activations, BatchStatistics, CnnSpec, LayerWeights, LogitsWeights, Normalization, conv_layer,
    flatten_features, logits,
};

/// E CNNs of the same shape with different weights.
#[derive(Clone, Debug)]
pub struct GeneratedCnn {
    /// Their shape.
    pub spec: CnnSpec,
    /// Weights of the convolution layers.
    pub layers: Vec<LayerWeights>,
    /// Weights of the logits layer.
    pub logits: LogitsWeights,
    /// Statistics of each convolution layer for the query images; none where they bring their own
    /// ([`NormStatistics::QueryBatch`](crate::NormStatistics::QueryBatch)).
    pub statistics: Option<Vec<BatchStatistics>>,
    /// `[E, N]`, true for labels that no class of the episode has: their logits are
    /// [`ABSENT_LOGIT`]. None where all labels are used.
    pub absent: Option<Tensor<2, Bool>>,
}

/// The logit of a label that an episode does not have: its probability is zero.
pub const ABSENT_LOGIT: f64 = -1e9;

impl GeneratedCnn {
    /// Classifies images with each episode's own CNN.
    ///
    /// # Shapes
    /// - `images`: `[E, Q, C, H, W]`
    /// - returns: logits `[E, Q, N]`
    pub fn forward(&self, images: Tensor<5>) -> Tensor<3> {
        self.classify(Activations::from_images(images))
    }

    /// Classifies images of which some may be hidden.
    ///
    /// # Shapes
    /// - returns: logits `[E, Q, N]`; those of hidden images mean nothing
    pub fn classify(&self, images: Activations) -> Tensor<3> {
        self.classify_watched(images, |_| {})
    }

    /// Classifies images and shows the output of each convolution layer to `watch`.
    ///
    /// # Shapes
    /// as in [`classify`](Self::classify)
    pub fn classify_watched(
        &self,
        images: Activations,
        mut watch: impl FnMut(&Activations),
    ) -> Tensor<3> {
        let mut activations = images;
        for (l, (weights, spec)) in self.layers.iter().zip(&self.spec.layers).enumerate() {
            let normalization = match &self.statistics {
                Some(statistics) => Normalization::Given(&statistics[l]),
                None => Normalization::OwnBatch,
            };
            activations = conv_layer(activations, weights, spec, normalization);
            watch(&activations);
        }
        let features = flatten_features(activations, self.spec.features);
        self.without_absent(logits(features, &self.logits))
    }

    /// Gives labels that an episode does not have the logit [`ABSENT_LOGIT`].
    ///
    /// # Shapes
    /// - `logits`: `[E, Q, N]`, returns the same
    pub fn without_absent(&self, logits: Tensor<3>) -> Tensor<3> {
        match &self.absent {
            None => logits,
            Some(absent) => {
                let shape = logits.dims();
                let absent = absent.clone().unsqueeze_dim::<3>(1).expand(shape);
                logits.mask_fill(absent, ABSENT_LOGIT)
            }
        }
    }
}

#[cfg(test)]
mod tests;
