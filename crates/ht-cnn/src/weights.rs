//! The weights of E CNNs as values, and how they are put together.
//!
//! A tensor of a layer can be generated, learned, or the sum of both (the released code's
//! added variables). [`PartialWeights`] is what one of the two sources has to say.

use burn::tensor::{Tensor, assert_shape};

use crate::{ConvSpec, SliceLayout};

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

/// Some of the tensors of a convolution layer. Learned ones have E = 1.
#[derive(Clone, Debug, Default)]
pub struct PartialWeights {
    /// `[E, O, I, F, F]`.
    pub kernel: Option<Tensor<5>>,
    /// `[E, O]`.
    pub bias: Option<Tensor<2>>,
    /// `[E, O]`.
    pub scale: Option<Tensor<2>>,
    /// `[E, O]`.
    pub shift: Option<Tensor<2>>,
}

impl PartialWeights {
    /// The tensors that the slices of a layer carry.
    ///
    /// # Shapes
    /// - `slices`: `[E, G, L]` in the layout's grid
    pub fn from_slices(slices: &Tensor<3>, layout: SliceLayout, spec: &ConvSpec) -> Self {
        let kernel_len = layout.allocation.grid(spec).len;
        let column = |at| slices.clone().narrow(2, at, 1).squeeze_dim(2);
        let (bias_at, norm_at) = (kernel_len, kernel_len + usize::from(spec.bias));
        Self {
            kernel: Some(
                layout
                    .allocation
                    .join(slices.clone().narrow(2, 0, kernel_len), spec),
            ),
            bias: spec.bias.then(|| column(bias_at)),
            scale: layout.norm.then(|| column(norm_at)),
            shift: layout.norm.then(|| column(norm_at + 1)),
        }
    }

    /// Adds two sources, tensor by tensor; one that only one of them has stays as it is.
    ///
    /// # Shapes
    /// - both of the same E, or one of E = 1
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            kernel: added(self.kernel, other.kernel),
            bias: added(self.bias, other.bias),
            scale: added(self.scale, other.scale),
            shift: added(self.shift, other.shift),
        }
    }

    /// Multiplies every tensor by a number.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            kernel: self.kernel.map(|kernel| kernel * factor),
            bias: self.bias.map(|bias| bias * factor),
            scale: self.scale.map(|scale| scale * factor),
            shift: self.shift.map(|shift| shift * factor),
        }
    }
}

fn added<const D: usize>(a: Option<Tensor<D>>, b: Option<Tensor<D>>) -> Option<Tensor<D>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

impl LayerWeights {
    /// Adds what is generated and what is learned, tensor by tensor, for E episodes.
    ///
    /// Kernel, scale and shift must come from at least one of them.
    pub fn sum(generated: &PartialWeights, learned: &PartialWeights, n_episodes: usize) -> Self {
        Self {
            kernel: sum(
                generated.kernel.as_ref(),
                learned.kernel.as_ref(),
                n_episodes,
            )
            .expect("a kernel is generated or learned"),
            bias: sum(generated.bias.as_ref(), learned.bias.as_ref(), n_episodes),
            scale: sum(generated.scale.as_ref(), learned.scale.as_ref(), n_episodes)
                .expect("a scale is generated or learned"),
            shift: sum(generated.shift.as_ref(), learned.shift.as_ref(), n_episodes)
                .expect("a shift is generated or learned"),
        }
    }
}

fn sum<const D: usize>(
    generated: Option<&Tensor<D>>,
    learned: Option<&Tensor<D>>,
    n_episodes: usize,
) -> Option<Tensor<D>> {
    match (generated.cloned(), learned.cloned()) {
        (None, Some(learned)) => {
            let mut shape = learned.dims();
            shape[0] = n_episodes;
            Some(learned.expand(shape))
        }
        (generated, learned) => added(generated, learned),
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

    /// Adds tensors, of each episode or of all.
    ///
    /// # Shapes
    /// - `kernel`: `[E or 1, N, P]`; `bias`: `[E or 1, N]`
    #[must_use]
    pub fn plus(self, kernel: Tensor<3>, bias: Tensor<2>) -> Self {
        Self {
            kernel: self.kernel + kernel,
            bias: self.bias + bias,
        }
    }

    /// All weights times one number.
    ///
    /// # Shapes
    /// - `factor`: `[1]`
    #[must_use]
    pub fn times(self, factor: Tensor<1>) -> Self {
        Self {
            kernel: self.kernel * factor.clone().unsqueeze(),
            bias: self.bias * factor.unsqueeze(),
        }
    }
}
