//! The generated CNN: weights of every layer, ready to classify query images.

use burn::tensor::{Tensor, assert_shape};

use crate::layer::conv_layer_with_statistics;
use crate::{
    Activations, BatchStatistics, CnnSpec, Geometry, LayerWeights, LogitsWeights, NormStatistics,
    Normalization, conv_layer, flatten_features, logits,
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
    /// Support statistics of each convolution layer, under [`NormStatistics::Support`].
    pub statistics: Option<Vec<BatchStatistics>>,
}

impl GeneratedCnn {
    /// Classifies images with each episode's own CNN.
    ///
    /// # Shapes
    /// - `images`: `[E, Q, C, H, W]`
    /// - returns: logits `[E, Q, N]`
    pub fn forward(&self, images: Tensor<5>) -> Tensor<3> {
        let Geometry {
            channels,
            height,
            width,
        } = self.spec.image;
        assert_shape!(images, [_, _, channels, height, width]);
        let mut activations = Activations::from_images(images);
        for (l, (weights, spec)) in self.layers.iter().zip(&self.spec.layers).enumerate() {
            let normalization = match &self.statistics {
                Some(statistics) => Normalization::Given(&statistics[l]),
                None => Normalization::OwnBatch,
            };
            activations = conv_layer(activations, weights, spec, normalization);
        }
        logits(
            flatten_features(activations, self.spec.features),
            &self.logits,
        )
    }
}

impl CnnSpec {
    /// Applies layer `layer` to the support images, as the generator does between layers,
    /// and keeps their statistics if the query pass will need them.
    pub fn support_layer(
        &self,
        layer: usize,
        activations: Activations,
        weights: &LayerWeights,
    ) -> (Activations, Option<BatchStatistics>) {
        let spec = &self.layers[layer];
        match self.norm_statistics {
            NormStatistics::QueryBatch => {
                let next = conv_layer(activations, weights, spec, Normalization::OwnBatch);
                (next, None)
            }
            NormStatistics::Support => {
                let (next, statistics) = conv_layer_with_statistics(activations, weights, spec);
                (next, Some(statistics))
            }
        }
    }
}

#[cfg(test)]
mod tests;
