//! The logits layer that a labelled support set gives without any learning: an image belongs to
//! the class whose mean is nearest (prototypes; Snell, Swersky & Zemel, 2017).
//!
//! The squared distance `|f - c|^2 = |f|^2 - 2 f c + |c|^2` is, but for a term that all classes
//! share, a logits layer with the rows 2 c and the biases -|c|^2.

use burn::tensor::Tensor;

use crate::LogitsWeights;

impl LogitsWeights {
    /// The logits layer of class means.
    ///
    /// # Shapes
    /// - `features`: `[E, S, P]` of the support images
    /// - `one_hot`: `[E, S, N]`, 1 at the label of each image, all zero where it has none
    pub fn of_class_means(features: &Tensor<3>, one_hot: &Tensor<3>) -> Self {
        // [E, N, S] x [E, S, P], a row per class.
        let one_hot = one_hot.clone().swap_dims(1, 2).cast(features.dtype());
        let counts = one_hot.clone().sum_dim(2);
        let sums = one_hot.matmul(features.clone());
        let shape = sums.dims();
        // A class of which nothing is shown is no more likely than the mean of all.
        let mean_of_all = sums.clone().sum_dim(1) / counts.clone().sum_dim(1).clamp_min(1.0);
        let is_empty = counts.clone().equal_elem(0.0).expand(shape);
        let means = sums / counts.clamp_min(1.0);
        let means = means.mask_where(is_empty, mean_of_all.expand(shape));
        Self {
            kernel: means.clone() * 2.0,
            bias: means.square().sum_dim(2).squeeze_dim::<2>(2).neg(),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;

    #[test]
    fn an_image_belongs_to_the_nearest_mean_and_an_empty_class_to_the_middle() {
        let device = Device::flex();
        // Classes 0 and 1 around (1, 0) and (0, 3); the last image has no label, class 2 none.
        let features = [[[0.5, 0.0], [1.5, 0.0], [0.0, 3.0], [9.0, 9.0]]];
        let features = Tensor::<3>::from_data(features, &device);
        let one_hot = [[
            [1.0, 0.0, 0.0],
            [1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 0.0],
        ]];
        let one_hot = Tensor::<3>::from_data(one_hot, &device);
        let layer = LogitsWeights::of_class_means(&features, &one_hot);
        let third = 2.0f32 / 3.0;
        let kernel = TensorData::from([[[2.0, 0.0], [0.0, 6.0], [2.0 * third, 2.0]]]);
        let bias = TensorData::from([[-1.0, -9.0, -third * third - 1.0]]);
        let within = Tolerance::absolute(1e-5);
        layer
            .kernel
            .into_data()
            .assert_approx_eq::<f32>(&kernel, within);
        layer
            .bias
            .into_data()
            .assert_approx_eq::<f32>(&bias, within);
    }
}
