//! Activations of E episodes between two layers, with the image axis last: `[E, C, H, W, B]`.
//!
//! All images of an episode see the same kernel, so a loop over them is the innermost one on a
//! CPU, and it never meets an edge of an image. The order is private to this crate.
//!
//! A mask travels with the images: what it hides is computed, but counts in no statistics.

use std::ops::Range;

use burn::tensor::{Bool, Tensor, TensorData, assert_shape};

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

    /// Means over the cells of a grid of at most `side` by `side` cells, which overlap where the sides
    /// of the images are no multiples; where the images are no larger, their pixels.
    ///
    /// # Shapes
    /// - returns: `[E, B, C G]` for G cells
    pub fn grid_means(&self, side: usize) -> Tensor<3> {
        let [e, c, h, w, b] = self.images.dims();
        let pixels = self.images.clone().reshape([e, c, h * w, b]);
        let [rows, columns] = [h, w].map(|length| cells(length, side));
        let n_cells = rows.len() * columns.len();
        let means = if n_cells == h * w {
            pixels
        } else {
            let mut shares = vec![0.0f32; n_cells * h * w];
            let pairs = rows
                .iter()
                .flat_map(|row| columns.iter().map(move |column| (row, column)));
            for ((row, column), shares) in pairs.zip(shares.chunks_mut(h * w)) {
                let share = 1.0 / (row.len() * column.len()) as f32;
                for r in row.clone() {
                    shares[r * w..][column.clone()].fill(share);
                }
            }
            let shares = TensorData::new(shares, [1, 1, n_cells, h * w]);
            let shares = Tensor::<4>::from_data(shares, &pixels.device()).cast(pixels.dtype());
            shares.expand([e, c, n_cells, h * w]).matmul(pixels)
        };
        means.permute([0, 3, 1, 2]).reshape([e, b, c * n_cells])
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

/// The cells of one side of a grid.
fn cells(length: usize, side: usize) -> Vec<Range<usize>> {
    let n_cells = side.min(length);
    (0..n_cells)
        .map(|at| at * length / n_cells..((at + 1) * length).div_ceil(n_cells))
        .collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;

    #[test]
    fn a_grid_has_the_means_of_its_cells_and_small_images_their_pixels() {
        let device = Device::flex();
        let images = Tensor::<5>::from_data(
            [[[
                [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
                [[0.0, 0.0, 9.0], [0.0, 0.0, 0.0]],
            ]]],
            &device,
        );
        let activations = Activations::from_images(images);
        let close = |found: Tensor<3>, expected: TensorData| {
            let within = Tolerance::absolute(1e-6);
            found.into_data().assert_approx_eq::<f32>(&expected, within);
        };
        // Three columns in two cells: the middle one counts in both.
        let expected = [[[1.5, 2.5, 4.5, 5.5, 0.0, 4.5, 0.0, 0.0]]];
        close(activations.grid_means(2), TensorData::from(expected));
        let pixels = [[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0]]];
        close(activations.grid_means(3), TensorData::from(pixels));
        let means = activations.pixel_means();
        close(activations.grid_means(1), means.into_data());
    }
}
