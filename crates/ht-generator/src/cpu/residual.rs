//! A part of a block with its norm and its residual, in both norm orders, forward and back.

use std::sync::Arc;

use burn::tensor::Shape;

use super::attention::{Attended, Attention};
use super::dense::{CpuTensor, DenseGradient, rows_of, tensor, values, values_mut};
use super::feed_forward::FeedForward;
use super::rows::{Norm, RowStatistics, add, add_bias_and};
use crate::NormOrder;

/// What the tokens pass through.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// With what is subtracted from the scores of hidden tokens, `[E, T]`.
    Attention(Box<Attention>, Option<Arc<[f32]>>),
    /// Token by token.
    FeedForward(Box<FeedForward>),
}

/// What a part keeps for the way back.
#[derive(Debug)]
enum PartSeen {
    Attention(Box<Attended>),
    FeedForward(CpuTensor),
}

/// A part, its norm, and their order.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    pub(super) part: Part,
    pub(super) order: NormOrder,
    /// `[D]`: scale of the norm.
    pub(super) scale: CpuTensor,
    /// `[D]`: shift of the norm.
    pub(super) shift: CpuTensor,
    pub(super) epsilon: f32,
}

/// What the way back needs.
#[derive(Debug)]
pub(super) struct Seen {
    /// `[E T, D]`: what went into the part.
    input: CpuTensor,
    part: PartSeen,
    /// `[E T, D]`: what was normalised.
    before_norm: CpuTensor,
    statistics: RowStatistics,
}

/// Gradients of everything that a part has.
pub(super) struct ResidualGradient {
    pub(super) tokens: CpuTensor,
    pub(super) scale: CpuTensor,
    pub(super) shift: CpuTensor,
    pub(super) layers: Vec<DenseGradient>,
}

impl Residual {
    /// # Shapes
    /// - `tokens`: `[E T, D]`, returns the same
    pub(super) fn forward(&self, tokens: &CpuTensor) -> (CpuTensor, Seen) {
        let norm = self.norm();
        let columns = norm.scale.len();
        match self.order {
            NormOrder::Pre => {
                let (normalized, statistics) = norm.forward(values(tokens));
                let input = rows_of(normalized, columns);
                let (mut out, part) = self.part.forward(&input);
                add_bias_and(values_mut(&mut out), self.part.last_bias(), values(tokens));
                let seen = Seen {
                    input,
                    part,
                    before_norm: tokens.clone(),
                    statistics,
                };
                (out, seen)
            }
            NormOrder::Post => {
                let (mut sum, part) = self.part.forward(tokens);
                add_bias_and(values_mut(&mut sum), self.part.last_bias(), values(tokens));
                let (normalized, statistics) = norm.forward(values(&sum));
                let seen = Seen {
                    input: tokens.clone(),
                    part,
                    before_norm: sum,
                    statistics,
                };
                (rows_of(normalized, columns), seen)
            }
        }
    }

    /// # Shapes
    /// - `gradient`: `[E T, D]`
    pub(super) fn backward(&self, seen: &Seen, gradient: &CpuTensor) -> ResidualGradient {
        let norm = self.norm();
        let columns = norm.scale.len();
        let before = values(&seen.before_norm);
        let (tokens, [scale, shift], layers) = match self.order {
            NormOrder::Pre => {
                let (mut inside, layers) = self.part.backward(seen, gradient);
                let inside_values = values_mut(&mut inside);
                let of_norm = norm.backward(before, &seen.statistics, inside_values);
                add(inside_values, values(gradient));
                (inside, of_norm, layers)
            }
            NormOrder::Post => {
                let mut around = values(gradient).to_vec();
                let of_norm = norm.backward(before, &seen.statistics, &mut around);
                let around = rows_of(around, columns);
                let (mut inside, layers) = self.part.backward(seen, &around);
                add(values_mut(&mut inside), values(&around));
                (inside, of_norm, layers)
            }
        };
        let [scale, shift] = [scale, shift].map(|values| tensor(values, Shape::new([columns])));
        ResidualGradient {
            tokens,
            scale,
            shift,
            layers,
        }
    }

    fn norm(&self) -> Norm<'_> {
        Norm {
            scale: values(&self.scale),
            shift: values(&self.shift),
            epsilon: self.epsilon,
        }
    }
}

impl Part {
    fn forward(&self, input: &CpuTensor) -> (CpuTensor, PartSeen) {
        match self {
            Self::Attention(attention, penalty) => {
                let (out, seen) = attention.forward(input, penalty.as_deref());
                (out, PartSeen::Attention(Box::new(seen)))
            }
            Self::FeedForward(layers) => {
                let (out, activated) = layers.forward(input);
                (out, PartSeen::FeedForward(activated))
            }
        }
    }

    fn backward(&self, seen: &Seen, gradient: &CpuTensor) -> (CpuTensor, Vec<DenseGradient>) {
        match (self, &seen.part) {
            (Self::Attention(attention, _), PartSeen::Attention(attended)) => {
                let (of_input, layers) = attention.backward(&seen.input, attended, gradient);
                (of_input, layers.into())
            }
            (Self::FeedForward(layers), PartSeen::FeedForward(activated)) => {
                let (of_input, layers) = layers.backward(&seen.input, activated, gradient);
                (of_input, layers.into())
            }
            _ => unreachable!("a part sees what it has left"),
        }
    }

    fn last_bias(&self) -> &[f32] {
        match self {
            Self::Attention(attention, _) => attention.output.bias(),
            Self::FeedForward(layers) => layers.outer.bias(),
        }
    }
}
