//! The support images on their way through the CNN, layer by layer, while its weights are written.
//!
//! What a layer's weights are made of may be what the layers before it made of these images. On the
//! way the statistics are taken that normalise query images later.

use burn::tensor::ops::PadMode;
use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use crate::layer::conv_layer_with_statistics;
use crate::{Activations, BatchStatistics, CnnSpec, LayerWeights, Normalization, conv_layer};

/// Moved copies are this part of a side away: 2 pixels of 28.
const SHIFT: usize = 14;
/// Where they are cut from an image with room on each side, in shifts: moved up, down, left, right.
const DIRECTIONS: [[usize; 2]; 4] = [[2, 1], [0, 1], [1, 2], [1, 0]];

/// Which images the batch normalisation of the query pass takes its statistics from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormStatistics {
    /// The query images themselves, as in the released code: mildly transductive.
    QueryBatch,
    /// The support images: each query image is classified alone.
    Support,
    /// The support images and copies of them, moved in four directions: the same with less
    /// accident where the images are few.
    ShiftedSupport,
}

impl NormStatistics {
    /// Its name in configs and outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueryBatch => "query-batch",
            Self::Support => "support",
            Self::ShiftedSupport => "shifted-support",
        }
    }

    /// Whether each query image is classified alone.
    pub fn is_of_support(self) -> bool {
        self != Self::QueryBatch
    }

    /// Images that pass the layers for the statistics alone, for each support image.
    pub fn further_images(self) -> usize {
        match self {
            Self::QueryBatch | Self::Support => 0,
            Self::ShiftedSupport => 1 + DIRECTIONS.len(),
        }
    }
}

/// Support images between two layers, and what was kept of the layers behind them.
#[derive(Clone, Debug)]
pub struct SupportPass<'a> {
    spec: &'a CnnSpec,
    n_applied: usize,
    activations: Activations,
    /// The same images and their moved copies, under [`NormStatistics::ShiftedSupport`].
    with_moved: Option<Activations>,
    /// Of each layer so far.
    statistics: Vec<BatchStatistics>,
}

impl<'a> SupportPass<'a> {
    /// Before the first layer.
    ///
    /// # Shapes
    /// - `images`: `[E, S, C, H, W]`; `hidden`: `[E, S]`, true for images that do not count
    pub fn new(spec: &'a CnnSpec, images: Tensor<5>, hidden: Option<Tensor<2, Bool>>) -> Self {
        let with_moved = (spec.norm_statistics == NormStatistics::ShiftedSupport).then(|| {
            let n_showings = spec.norm_statistics.further_images();
            let hidden = hidden.clone().map(|hidden| hidden.repeat(&[1, n_showings]));
            Activations::from_images(with_moved_copies(&images)).hide(hidden)
        });
        Self {
            spec,
            n_applied: 0,
            activations: Activations::from_images(images).hide(hidden),
            with_moved,
            statistics: Vec::new(),
        }
    }

    /// S images of each episode behind the layers so far.
    pub fn activations(&self) -> &Activations {
        &self.activations
    }

    /// Applies the next layer, which the CNN must have.
    pub fn apply(&mut self, weights: &LayerWeights) {
        let spec = &self.spec.layers[self.n_applied];
        self.n_applied += 1;
        let activations = self.activations.clone();
        if self.spec.norm_statistics == NormStatistics::Support {
            let (next, statistics) = conv_layer_with_statistics(activations, weights, spec);
            self.activations = next;
            self.statistics.push(statistics);
            return;
        }
        self.activations = conv_layer(activations, weights, spec, Normalization::OwnBatch);
        if let Some(with_moved) = self.with_moved.take() {
            let (next, statistics) = conv_layer_with_statistics(with_moved, weights, spec);
            self.with_moved = Some(next);
            self.statistics.push(statistics);
        }
    }

    /// The statistics of each layer, if query images are to be normalised with them.
    pub fn into_statistics(self) -> Option<Vec<BatchStatistics>> {
        (!self.statistics.is_empty()).then_some(self.statistics)
    }
}

/// The images, and each of them moved in four directions; zero where nothing was.
///
/// # Shapes
/// - `images`: `[E, S, C, H, W]`; returns `[E, 5 S, C, H, W]`, all images in each direction in turn
fn with_moved_copies(images: &Tensor<5>) -> Tensor<5> {
    let [_, _, _, h, w] = images.dims();
    let [rows, columns] = [h, w].map(|side| (side / SHIFT).max(1));
    let room = (columns, columns, rows, rows);
    let roomy = images.clone().pad(room, PadMode::Constant(0.0));
    let moved = DIRECTIONS.map(|[down, right]| {
        let rows = roomy.clone().narrow(3, down * rows, h);
        rows.narrow(4, right * columns, w)
    });
    let all = std::iter::once(images.clone()).chain(moved).collect();
    Tensor::cat(all, 1)
}

#[cfg(test)]
mod tests;
