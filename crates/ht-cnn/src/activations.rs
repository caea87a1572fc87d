//! Activations of E episodes, folded so that ordinary 2D operations serve all of them.
//!
//! Episodes stand side by side in the channel axis: `[B, E · C, H, W]`, where B counts the
//! images of one episode. Convolution with one group per episode, pooling and per-channel
//! statistics are then per episode by themselves. The fold is private to this crate.

use burn::tensor::Tensor;

/// B images of each of E episodes between two layers.
#[derive(Clone, Debug)]
pub struct Activations {
    /// `[B, E * C, H, W]`.
    folded: Tensor<4>,
    n_episodes: usize,
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
        }
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

    pub(crate) fn new(folded: Tensor<4>, n_episodes: usize) -> Self {
        Self { folded, n_episodes }
    }

    pub(crate) fn into_folded(self) -> Tensor<4> {
        self.folded
    }
}
