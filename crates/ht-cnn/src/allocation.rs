//! Slices: how a kernel is cut into the pieces that output tokens carry (paper, section 4.1).
//!
//! Everything above this file speaks of G slices of length L and does not know which cut
//! is in use; the only match on [`WeightAllocation`] is here.

use burn::tensor::{Tensor, assert_shape};
use serde::{Deserialize, Serialize};

use crate::ConvSpec;

/// How a convolution kernel is divided among weight tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightAllocation {
    /// One slice per output channel: G = O, L = F · F · I.
    Output,
    /// One slice per kernel position: G = F · F, L = I · O.
    Spatial,
}

/// What the slices of a layer carry: its kernel in some cut, then the bias if the layer has
/// one, then scale and shift of the batch normalisation if they are generated too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceLayout {
    /// The cut of the kernel.
    pub allocation: WeightAllocation,
    /// Whether scale and shift are generated.
    pub norm: bool,
}

impl SliceLayout {
    /// The grid of a layer. Bias, scale and shift are one value per output channel, so they
    /// need slices per output channel.
    pub fn grid(self, spec: &ConvSpec) -> SliceGrid {
        let SliceGrid { count, len } = self.allocation.grid(spec);
        let extra = usize::from(spec.bias) + 2 * usize::from(self.norm);
        SliceGrid {
            count,
            len: len + extra,
        }
    }
}

/// G slices of length L.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceGrid {
    /// G: slices, one weight token each.
    pub count: usize,
    /// L: values of a slice.
    pub len: usize,
}

impl WeightAllocation {
    /// The grid of a layer's kernel.
    pub fn grid(self, spec: &ConvSpec) -> SliceGrid {
        let (inputs, outputs) = (spec.input.channels, spec.output.channels);
        let positions = spec.kernel * spec.kernel;
        match self {
            Self::Output => SliceGrid {
                count: outputs,
                len: positions * inputs,
            },
            Self::Spatial => SliceGrid {
                count: positions,
                len: inputs * outputs,
            },
        }
    }

    /// Joins the slices of a layer into its kernels.
    ///
    /// # Shapes
    /// - `slices`: `[E, G, L]`; within a slice the order is that of the released code,
    ///   (row, column, I) for `Output` and (I, O) for `Spatial`
    /// - returns: `[E, O, I, F, F]`
    pub fn join(self, slices: Tensor<3>, spec: &ConvSpec) -> Tensor<5> {
        let SliceGrid { count, len } = self.grid(spec);
        assert_shape!(slices, [_, count, len]);
        let [e, _, _] = slices.dims();
        let (f, i, o) = (spec.kernel, spec.input.channels, spec.output.channels);
        match self {
            Self::Output => slices.reshape([e, o, f, f, i]).permute([0, 1, 4, 2, 3]),
            Self::Spatial => slices.reshape([e, f, f, i, o]).permute([0, 4, 3, 1, 2]),
        }
    }

    /// Cuts kernels into slices: the inverse of [`join`](Self::join).
    ///
    /// # Shapes
    /// - `kernels`: `[E, O, I, F, F]`
    /// - returns: `[E, G, L]`
    pub fn cut(self, kernels: Tensor<5>, spec: &ConvSpec) -> Tensor<3> {
        let SliceGrid { count, len } = self.grid(spec);
        let [e, ..] = kernels.dims();
        let ordered = match self {
            Self::Output => kernels.permute([0, 1, 3, 4, 2]),
            Self::Spatial => kernels.permute([0, 3, 4, 2, 1]),
        };
        ordered.reshape([e, count, len])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int};
    use proptest::prelude::*;

    use super::*;
    use crate::{CnnConfig, CnnSpec, Geometry};

    fn spec(inputs: usize, outputs: usize, kernel: usize) -> ConvSpec {
        let image = Geometry {
            channels: inputs,
            height: 28,
            width: 28,
        };
        let config = CnnConfig {
            channels: outputs,
            kernel,
            ..CnnConfig::default()
        };
        CnnSpec::new(&config, image, 2).expect("fits").layers[0].clone()
    }

    proptest! {
        #[test]
        fn join_and_cut_are_inverse(
            e in 1..4usize, inputs in 1..6usize, outputs in 1..6usize, kernel in 1..6usize,
        ) {
            let spec = spec(inputs, outputs, kernel);
            for allocation in [WeightAllocation::Output, WeightAllocation::Spatial] {
                let SliceGrid { count, len } = allocation.grid(&spec);
                prop_assert_eq!(count * len, spec.kernel_len());
                let n_values = (e * count * len) as i64;
                let values = Tensor::<1, Int>::arange(0..n_values, &Device::flex()).float();
                let slices = values.clone().reshape([e, count, len]);
                let kernels = allocation.join(slices.clone(), &spec);
                prop_assert_eq!(kernels.dims(), [e, outputs, inputs, kernel, kernel]);
                let again = allocation.cut(kernels, &spec);
                again.into_data().assert_eq(&slices.into_data(), true);
                // And the other way round.
                let kernels = values.reshape([e, outputs, inputs, kernel, kernel]);
                let again = allocation.join(allocation.cut(kernels.clone(), &spec), &spec);
                again.into_data().assert_eq(&kernels.into_data(), true);
            }
        }
    }

    #[test]
    fn a_slice_is_an_output_channel_or_a_kernel_position() {
        let spec = spec(3, 5, 3);
        let marked = |allocation: WeightAllocation| {
            let SliceGrid { count, len } = allocation.grid(&spec);
            let slices = Tensor::<3>::zeros([1, count, len], &Device::flex());
            let second = Tensor::<3>::ones([1, 1, len], &Device::flex());
            allocation.join(slices.slice_assign([0..1, 1..2, 0..len], second), &spec)
        };
        let by_output = marked(WeightAllocation::Output);
        let sum: f32 = by_output.narrow(1, 1, 1).sum().into_scalar();
        assert!((sum - 27.0).abs() < 1e-6);
        let by_position = marked(WeightAllocation::Spatial);
        let sum: f32 = by_position
            .narrow(4, 1, 1)
            .narrow(3, 0, 1)
            .sum()
            .into_scalar();
        assert!((sum - 15.0).abs() < 1e-6);
    }
}
