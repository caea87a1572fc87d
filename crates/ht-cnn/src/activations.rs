//! Activations of E episodes between two layers, with the image axis last: `[E, C, H, W, B]`.
//!
//! All images of an episode see the same kernel, so a loop over them is the innermost one on a
//! CPU, and it never meets an edge of an image. The order is private to this crate.
//!
//! A mask travels with the images: what it hides is computed, but counts in no statistics.

use burn::tensor::{Bool, Tensor, assert_shape};

/// B images of each of E episodes between two layers.
#[derive(Clone, Debug)]
pub struct Activations {
    /// `[E, C, H, W, B]`.
    images: Tensor<5>,
    /// `[E, B]`, true for images that do not count; none where all do.
    hidden: Option<Tensor<2, Bool>>,
}

impl Activations {
    /// Takes images.
    ///
    /// # Shapes
    /// - `images`: `[E, B, C, H, W]`
    pub fn from_images(images: Tensor<5>) -> Self {
        Self {
            images: images.permute([0, 2, 3, 4, 1]),
            hidden: None,
        }
    }

    /// Marks images that are padding.
    ///
    /// # Shapes
    /// - `hidden`: `[E, B]`
    #[must_use]
    pub fn hide(self, hidden: Option<Tensor<2, Bool>>) -> Self {
        if let Some(hidden) = &hidden {
            let [e, _, _, _, b] = self.images.dims();
            assert_shape!(hidden, [e, b]);
        }
        Self { hidden, ..self }
    }

    /// Gives `[E, B, C, H, W]`.
    pub fn into_images(self) -> Tensor<5> {
        self.images.permute([0, 4, 1, 2, 3])
    }

    /// E.
    pub fn n_episodes(&self) -> usize {
        self.images.dims()[0]
    }

    /// H and W.
    pub fn sides(&self) -> [usize; 2] {
        let [_, _, h, w, _] = self.images.dims();
        [h, w]
    }

    /// The mean over the pixels.
    ///
    /// # Shapes
    /// - returns: `[E, B, C]`
    pub fn pixel_means(&self) -> Tensor<3> {
        let [e, c, h, w, b] = self.images.dims();
        let means = self.images.clone().reshape([e, c, h * w, b]).mean_dim(2);
        means.squeeze_dim::<3>(2).swap_dims(1, 2)
    }

    /// The same images after an operation on each value.
    ///
    /// # Shapes
    /// - the operation sees `[E, C, H, W, B]` and keeps E and B
    #[must_use]
    pub fn map(self, operation: impl FnOnce(Tensor<5>) -> Tensor<5>) -> Self {
        Self {
            images: operation(self.images),
            ..self
        }
    }

    /// As [`map`](Self::map), with what else the operation gives.
    pub(crate) fn map_with<R>(
        self,
        operation: impl FnOnce(Tensor<5>) -> (Tensor<5>, R),
    ) -> (Self, R) {
        let (images, result) = operation(self.images);
        (Self { images, ..self }, result)
    }

    /// Whether every image counts.
    pub(crate) fn is_whole(&self) -> bool {
        self.hidden.is_none()
    }

    /// `[E]`: images that count.
    pub(crate) fn n_shown(&self) -> Tensor<1> {
        let [e, _, _, _, b] = self.images.dims();
        let device = self.images.device();
        match self.shown() {
            Some(shown) => shown.sum_dim(1).squeeze_dim(1),
            None => Tensor::<1>::full([e], b as f64, &device).cast(self.images.dtype()),
        }
    }

    /// `[E, B]`, 1 for images that count and 0 for the others; none where all count.
    pub(crate) fn shown(&self) -> Option<Tensor<2>> {
        let hidden = self.hidden.clone();
        hidden.map(|hidden| hidden.bool_not().float().cast(self.images.dtype()))
    }
}
