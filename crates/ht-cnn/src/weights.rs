//! The weights of E CNNs as values, wherever they come from.

use burn::tensor::{Tensor, assert_shape};

use crate::{ConvSpec, WeightAllocation};

/// Weights of one convolution layer for E episodes.
#[derive(Clone, Debug)]
pub struct LayerWeights {
    /// `[E, O, I, F, F]`.
    pub kernel: Tensor<5>,
    /// `[E, O]`, or none.
    pub bias: Option<Tensor<2>>,
    /// `[E, O]`, gamma of the batch normalisation.
    pub scale: Tensor<2>,
    /// `[E, O]`, beta of the batch normalisation.
    pub shift: Tensor<2>,
}

impl LayerWeights {
    /// Builds a layer from its slices and the scale and shift that all episodes share.
    ///
    /// # Shapes
    /// - `slices`: `[E, G, L]`
    /// - `scale`, `shift`: `[O]`
    pub fn from_slices(
        slices: Tensor<3>,
        allocation: WeightAllocation,
        spec: &ConvSpec,
        scale: Tensor<1>,
        shift: Tensor<1>,
    ) -> Self {
        let [e, ..] = slices.dims();
        let o = spec.output.channels;
        Self {
            kernel: allocation.join(slices, spec),
            bias: None,
            scale: scale.unsqueeze::<2>().expand([e, o]),
            shift: shift.unsqueeze::<2>().expand([e, o]),
        }
    }

    /// Gives the same weights to E episodes.
    ///
    /// # Shapes
    /// - `kernel`: `[O, I, F, F]`; `scale`, `shift`: `[O]`
    pub fn shared(
        kernel: Tensor<4>,
        scale: Tensor<1>,
        shift: Tensor<1>,
        n_episodes: usize,
    ) -> Self {
        let [o, i, f, _] = kernel.dims();
        Self {
            kernel: kernel.unsqueeze::<5>().expand([n_episodes, o, i, f, f]),
            bias: None,
            scale: scale.unsqueeze::<2>().expand([n_episodes, o]),
            shift: shift.unsqueeze::<2>().expand([n_episodes, o]),
        }
    }
}

/// Weights of the logits layer for E episodes: one row per class.
#[derive(Clone, Debug)]
pub struct LogitsWeights {
    /// `[E, N, P]`, P features in H, W, C order.
    pub kernel: Tensor<3>,
    /// `[E, N]`.
    pub bias: Tensor<2>,
}

impl LogitsWeights {
    /// Splits each class's slice into its row of the kernel and its bias.
    ///
    /// # Shapes
    /// - `slices`: `[E, N, P + 1]`, the bias last
    pub fn from_slices(slices: Tensor<3>, n_features: usize) -> Self {
        assert_shape!(slices, [_, _, n_features + 1]);
        Self {
            kernel: slices.clone().narrow(2, 0, n_features),
            bias: slices.narrow(2, n_features, 1).squeeze_dim(2),
        }
    }
}
