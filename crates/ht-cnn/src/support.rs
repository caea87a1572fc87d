//! The support images on their way through the CNN, layer by layer, while its weights are written.
//!
//! What a layer's weights are made of may be what the layers before it made of these images. On the
//! way the statistics are taken that normalise query images later.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use crate::layer::{conv_layer_with_prior, conv_layer_with_statistics};
use crate::{
    Activations, BatchStatistics, CnnSpec, LayerWeights, Normalization, PriorStatistics, conv_layer,
};

/// Which images the batch normalisation of the query pass takes its statistics from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormStatistics {
    /// The query images themselves, as in the released code: mildly transductive.
    QueryBatch,
    /// The support images: each query image is classified alone.
    Support,
}

impl NormStatistics {
    /// Its name in configs and outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueryBatch => "query-batch",
            Self::Support => "support",
        }
    }
}

/// Support images between two layers, and what was kept of the layers behind them.
#[derive(Clone, Debug)]
pub struct SupportPass<'a> {
    spec: &'a CnnSpec,
    n_applied: usize,
    activations: Activations,
    /// Of each layer so far, under [`NormStatistics::Support`].
    statistics: Vec<BatchStatistics>,
}

impl<'a> SupportPass<'a> {
    /// Before the first layer.
    ///
    /// # Shapes
    /// - `images`: `[E, S, C, H, W]`; `hidden`: `[E, S]`, true for images that do not count
    pub fn new(spec: &'a CnnSpec, images: Tensor<5>, hidden: Option<Tensor<2, Bool>>) -> Self {
        Self {
            spec,
            n_applied: 0,
            activations: Activations::from_images(images).hide(hidden),
            statistics: Vec::new(),
        }
    }

    /// S images of each episode behind the layers so far.
    pub fn activations(&self) -> &Activations {
        &self.activations
    }

    /// Applies the next layer, which the CNN must have. Where statistics are taken, those of
    /// `prior` count with them.
    pub fn apply(&mut self, weights: &LayerWeights, prior: Option<&PriorStatistics>) {
        let spec = &self.spec.layers[self.n_applied];
        self.n_applied += 1;
        let activations = self.activations.clone();
        self.activations = match (self.spec.norm_statistics, prior) {
            (NormStatistics::QueryBatch, _) => {
                conv_layer(activations, weights, spec, Normalization::OwnBatch)
            }
            (NormStatistics::Support, prior) => {
                let (next, statistics) = match prior {
                    None => conv_layer_with_statistics(activations, weights, spec),
                    Some(prior) => conv_layer_with_prior(activations, weights, spec, prior),
                };
                self.statistics.push(statistics);
                next
            }
        };
    }

    /// The statistics of each layer, if query images are to be normalised with them.
    pub fn into_statistics(self) -> Option<Vec<BatchStatistics>> {
        (!self.statistics.is_empty()).then_some(self.statistics)
    }
}

#[cfg(test)]
mod tests;
