//! Activations of E episodes, folded so that ordinary 2D operations serve all of them.
//!
//! Episodes stand side by side in the channel axis: `[B, E · C, H, W]`, where B counts the
//! images of one episode. Convolution with one group per episode, pooling and per-channel
//! statistics are then per episode by themselves. The fold is private to this crate.
//!
//! A mask travels with the images: what it hides is computed, but counts in no statistics.

use burn::tensor::{Bool, Tensor, assert_shape};

use crate::BatchStatistics;

/// B images of each of E episodes between two layers.
#[derive(Clone, Debug)]
pub struct Activations {
    /// `[B, E * C, H, W]`.
    folded: Tensor<4>,
    n_episodes: usize,
    /// `[E, B]`, true for images that do not count; none where all do.
    hidden: Option<Tensor<2, Bool>>,
}

impl Activations {
    /// Folds images.
    ///
    /// # Shapes
    /// - `images`: `[E, B, C, H, W]`
    pub fn from_images(images: Tensor<5>) -> Self {
        let [e, b, c, h, w] = images.dims();
        Self {
            folded: images.swap_dims(0, 1).reshape([b, e * c, h, w]),
            n_episodes: e,
            hidden: None,
        }
    }

    /// Marks images that are padding.
    ///
    /// # Shapes
    /// - `hidden`: `[E, B]`
    #[must_use]
    pub fn hide(self, hidden: Option<Tensor<2, Bool>>) -> Self {
        let [b, ..] = self.folded.dims();
        if let Some(hidden) = &hidden {
            assert_shape!(hidden, [self.n_episodes, b]);
        }
        Self { hidden, ..self }
    }

    /// Unfolds to `[E, B, C, H, W]`.
    pub fn into_images(self) -> Tensor<5> {
        let [b, folded, h, w] = self.folded.dims();
        let e = self.n_episodes;
        self.folded
            .reshape([b, e, folded / e, h, w])
            .swap_dims(0, 1)
    }

    /// E.
    pub fn n_episodes(&self) -> usize {
        self.n_episodes
    }

    /// The same images after an operation.
    pub(crate) fn map(self, operation: impl FnOnce(Tensor<4>) -> Tensor<4>) -> Self {
        Self {
            folded: operation(self.folded),
            ..self
        }
    }

    /// Mean and biased variance of each channel over the pixels of the images that count.
    pub(crate) fn statistics(&self) -> BatchStatistics {
        let x = self.folded.clone();
        let [b, folded, h, w] = x.dims();
        let e = self.n_episodes;
        let over_images = |x: Tensor<4>| match self.shown() {
            None => x.mean_dims(&[0, 2, 3]),
            Some(shown) => {
                let n_pixels = shown.clone().sum_dim(0).clamp_min(1.0) * (h * w) as f64;
                (x * shown).sum_dims(&[0, 2, 3]) / n_pixels
            }
        };
        let mean = over_images(x.clone());
        let variance = over_images((x - mean.clone()).square());
        debug_assert!(b > 0, "an episode has images");
        BatchStatistics {
            mean: mean.reshape([e, folded / e]),
            variance: variance.reshape([e, folded / e]),
        }
    }

    /// Whether every image counts.
    pub(crate) fn is_whole(&self) -> bool {
        self.hidden.is_none()
    }

    /// `[B, E * C, 1, 1]`, 1 for images that count and 0 for the others.
    fn shown(&self) -> Option<Tensor<4>> {
        let [b, folded, _, _] = self.folded.dims();
        let e = self.n_episodes;
        self.hidden.clone().map(|hidden| {
            let shown = hidden.bool_not().float().cast(self.folded.dtype());
            let shown = shown.swap_dims(0, 1);
            let per_channel: Tensor<3> = shown.unsqueeze_dim(2);
            per_channel
                .expand([b, e, folded / e])
                .reshape([b, folded, 1, 1])
        })
    }
}
