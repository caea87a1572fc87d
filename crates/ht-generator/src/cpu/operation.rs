//! What Burn sees: one differentiable operation of the CPU backend.

#![expect(
    clippy::too_many_arguments,
    reason = "Burn's macro takes tensors one by one"
)]

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, Flex, backend_extension};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Bool, DType, Tensor};

use super::attention::Attention;
use super::feed_forward::FeedForward;
use super::products::{CpuTensor, DenseLayer, tensor, values};
use super::residual::{Part, Residual, Seen};
use crate::NormOrder;
use crate::init::LAYER_NORM_EPSILON;

/// Tensors of a call: tokens, scale and shift of the norm, weights and biases of four layers.
const INPUTS: usize = 11;

/// Which part it is, with its layers.
#[derive(Debug)]
pub(crate) enum PartKind<'a> {
    /// Self-attention with softmax: query, key, value, output.
    Attention {
        layers: [&'a Linear; 4],
        heads: usize,
        /// `[E, T]`, true for tokens that nobody attends to, and what their scores lose.
        hidden: Option<(&'a Tensor<2, Bool>, f64)>,
    },
    /// Inner and outer layer, and the slope of the activation below zero.
    FeedForward { layers: [&'a Linear; 2], slope: f64 },
}

/// What a call is besides its tensors.
#[derive(Clone, Debug)]
pub(crate) struct PartCall {
    order: NormOrder,
    epsilon: f32,
    /// E, T, D.
    shape: [usize; 3],
    /// R: how many tokens of an episode, from the first, come out.
    n_wanted: usize,
    part: CallPart,
}

#[derive(Clone, Debug)]
enum CallPart {
    Attention {
        heads: usize,
        penalty: Option<Arc<[f32]>>,
    },
    FeedForward {
        slope: f32,
    },
}

/// The backends with an operation of their own.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait EncoderPart: Backend {
    /// A part of a block with its norm and its residual.
    ///
    /// # Shapes
    /// - `tokens`: `[E, T, D]`; `scale`, `shift`: `[D]`; returns `[E, R, D]`
    /// - the others: weights and biases of the part's layers, or anything where there is none
    fn encoder_part(
        tokens: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        weight_1: FloatTensor<Self>,
        bias_1: FloatTensor<Self>,
        weight_2: FloatTensor<Self>,
        bias_2: FloatTensor<Self>,
        weight_3: FloatTensor<Self>,
        bias_3: FloatTensor<Self>,
        weight_4: FloatTensor<Self>,
        bias_4: FloatTensor<Self>,
        call: PartCall,
    ) -> FloatTensor<Self>;
}

#[cfg(test)]
thread_local! {
    static CALLS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How often this thread has come here: a test wants to know that it has.
#[cfg(test)]
pub(super) fn calls() -> usize {
    CALLS.get()
}

/// The first R tokens behind a part, or none where the loops here do not serve. Only attention
/// can leave tokens out.
///
/// # Shapes
/// - `tokens`: `[E, T, D]`; returns `[E, R, D]`
pub(crate) fn encoder_part(
    tokens: &Tensor<3>,
    n_wanted: usize,
    norm: &LayerNorm,
    order: NormOrder,
    part: &PartKind<'_>,
) -> Option<Tensor<3>> {
    let device = tokens.device();
    if !matches!(
        device.clone().inner().as_dispatch(),
        DispatchDevice::Flex(_)
    ) || tokens.dtype() != DType::F32
    {
        return None;
    }
    let (layers, part): (&[&Linear], _) = match part {
        PartKind::Attention {
            layers,
            heads,
            hidden,
        } => {
            let penalty = hidden.map(|(hidden, penalty)| {
                let hidden = hidden.to_data();
                hidden
                    .iter::<bool>()
                    .map(|hidden| if hidden { penalty as f32 } else { 0.0 })
                    .collect()
            });
            let heads = *heads;
            (layers, CallPart::Attention { heads, penalty })
        }
        PartKind::FeedForward { layers, slope } => {
            let slope = *slope as f32;
            (layers, CallPart::FeedForward { slope })
        }
    };
    let call = PartCall {
        order,
        epsilon: LAYER_NORM_EPSILON as f32,
        shape: tokens.dims(),
        n_wanted,
        part,
    };
    let scale = norm.gamma.val();
    let mut weights = Vec::with_capacity(8);
    for layer in layers {
        weights.push(layer.weight.val().into_dispatch());
        weights.push(layer.bias.as_ref()?.val().into_dispatch());
    }
    // What a part does without is never looked at.
    weights.resize_with(8, || scale.clone().detach().into_dispatch());
    #[cfg(test)]
    CALLS.set(CALLS.get() + 1);
    let [w1, b1, w2, b2, w3, b3, w4, b4] = weights.try_into().ok()?;
    Some(Tensor::from_dispatch(
        <Dispatch as EncoderPart>::encoder_part(
            tokens.clone().into_dispatch(),
            scale.into_dispatch(),
            norm.beta.as_ref()?.val().into_dispatch(),
            w1,
            b1,
            w2,
            b2,
            w3,
            b3,
            w4,
            b4,
            call,
        ),
    ))
}

impl EncoderPart for Flex {
    fn encoder_part(
        tokens: CpuTensor,
        scale: CpuTensor,
        shift: CpuTensor,
        weight_1: CpuTensor,
        bias_1: CpuTensor,
        weight_2: CpuTensor,
        bias_2: CpuTensor,
        weight_3: CpuTensor,
        bias_3: CpuTensor,
        weight_4: CpuTensor,
        bias_4: CpuTensor,
        call: PartCall,
    ) -> CpuTensor {
        let inputs = [
            tokens, scale, shift, weight_1, bias_1, weight_2, bias_2, weight_3, bias_3, weight_4,
            bias_4,
        ];
        call.forward(inputs).0
    }
}

impl<C: CheckpointStrategy> EncoderPart for Autodiff<Flex, C> {
    fn encoder_part(
        tokens: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        weight_1: FloatTensor<Self>,
        bias_1: FloatTensor<Self>,
        weight_2: FloatTensor<Self>,
        bias_2: FloatTensor<Self>,
        weight_3: FloatTensor<Self>,
        bias_3: FloatTensor<Self>,
        weight_4: FloatTensor<Self>,
        bias_4: FloatTensor<Self>,
        call: PartCall,
    ) -> FloatTensor<Self> {
        let inputs = [
            tokens, scale, shift, weight_1, bias_1, weight_2, bias_2, weight_3, bias_3, weight_4,
            bias_4,
        ];
        let parts = inputs.map(FloatTensor::<Self>::into_parts);
        let inputs = parts.each_ref().map(|(tensor, _)| tensor.clone());
        let nodes = parts.map(|(_, node)| node);
        let (out, residual, seen) = call.forward(inputs);
        match PartStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((call, residual, Arc::new(seen)), out),
            OpsKind::UnTracked(step) => step.finish(out),
        }
    }
}

impl PartCall {
    /// # Shapes
    /// - `inputs`: as in [`EncoderPart::encoder_part`]; returns `[E, R, D]`
    fn forward(&self, inputs: [CpuTensor; INPUTS]) -> (CpuTensor, Residual, Seen) {
        let [tokens, scale, shift, w1, b1, w2, b2, w3, b3, w4, b4] = inputs.map(contiguous);
        let [e, t, d] = self.shape;
        let dense = |weight: CpuTensor, bias: CpuTensor| DenseLayer { weight, bias };
        let part = match &self.part {
            CallPart::Attention { heads, penalty } => {
                let attention = Attention {
                    query: dense(w1, b1),
                    key: dense(w2, b2),
                    value: dense(w3, b3),
                    output: dense(w4, b4),
                    heads: *heads,
                    episodes: e,
                    tokens: t,
                    wanted: self.n_wanted,
                };
                Part::Attention(Box::new(attention), penalty.clone())
            }
            CallPart::FeedForward { slope } => Part::FeedForward(Box::new(FeedForward {
                inner: dense(w1, b1),
                outer: dense(w2, b2),
                slope: *slope,
            })),
        };
        let residual = Residual {
            part,
            order: self.order,
            scale,
            shift,
            epsilon: self.epsilon,
            episodes: e,
            tokens: [t, self.n_wanted],
        };
        let (out, seen) = residual.forward(tokens);
        (tensor(out, [e, self.n_wanted, d]), residual, seen)
    }
}

/// The way back.
#[derive(Debug)]
struct PartStep;

impl Backward<Flex, INPUTS> for PartStep {
    type State = (PartCall, Residual, Arc<Seen>);

    fn backward(
        self,
        ops: Ops<Self::State, INPUTS>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (call, residual, seen) = ops.state;
        let given = contiguous(gradients.consume::<Flex>(&ops.node));
        let result = residual.backward(&seen, values(&given));
        let tokens = tensor(result.tokens, call.shape);
        let layers = result
            .layers
            .into_iter()
            .flat_map(|of| [of.weight, of.bias]);
        let results = [tokens, result.scale, result.shift]
            .into_iter()
            .chain(layers);
        for (node, of_input) in ops.parents.into_iter().zip(results) {
            if let Some(node) = node {
                gradients.register::<Flex>(node.id, of_input);
            }
        }
    }
}

/// The same values one after another.
fn contiguous(tensor: CpuTensor) -> CpuTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}
