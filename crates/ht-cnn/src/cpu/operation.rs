//! What Burn sees: one differentiable operation of the CPU backend.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, Dispatch, DispatchDevice, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::{DType, Shape, Tensor, TensorData};

use super::shape::LayerShape;
use super::{backward, forward, norm};
use crate::convolution::{Affine, BATCH_NORM_EPSILON, Convolution, LEAKY_SLOPE, Operands};
use crate::{Activation, Pooling};

type CpuTensor = FloatTensor<Flex>;

/// One call: sizes, and which of the tensors take part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerCall {
    shape: LayerShape,
    has_bias: bool,
    normalizes: bool,
}

/// The backends with an operation of their own.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait EpisodeLayer: Backend {
    /// Convolution, activation, pooling and, where the call says so, batch normalisation.
    ///
    /// # Shapes
    /// - `images`: `[E, I, H, W, B]`; `kernel`: `[E, O, I, F, F]`
    /// - `bias`, `scale`, `shift`: `[E, O]`, or anything where the call does without
    /// - returns: `[E, O, H', W', B]`
    fn episode_layer(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        call: LayerCall,
    ) -> FloatTensor<Self>;
}

/// Whether the tensors are the CPU's and of its precision.
pub(crate) fn serves(operands: &Operands) -> bool {
    let Operands { images, kernel, .. } = operands;
    let device = images.device().inner();
    matches!(device.as_dispatch(), DispatchDevice::Flex(_))
        && [images.dtype(), kernel.dtype()] == [DType::F32; 2]
}

/// As [`ordinary_layer`](crate::ordinary::ordinary_layer).
pub(crate) fn layer(operands: Operands, convolution: &Convolution) -> Tensor<5> {
    let Operands {
        images,
        kernel,
        bias,
        affine,
    } = operands;
    let [e, i, h, w, b] = images.dims();
    let [_, o, inputs, f, _] = kernel.dims();
    assert_eq!(inputs, i, "as many channels of the kernel as of the images");
    let [(top, bottom), (left, right)] = convolution.padding;
    let convolved = |side: usize, zeros: usize| (side + zeros - f) / convolution.stride + 1;
    let call = LayerCall {
        shape: LayerShape {
            episodes: e,
            images: b,
            inputs: i,
            outputs: o,
            height: h,
            width: w,
            kernel: f,
            stride: convolution.stride,
            top,
            left,
            convolved_height: convolved(h, top + bottom),
            convolved_width: convolved(w, left + right),
            pooling: match convolution.pooling {
                Pooling::None => 1,
                Pooling::Max => 2,
            },
            slope: convolution.activation.map(|activation| match activation {
                Activation::Relu => 0.0,
                Activation::LeakyRelu => LEAKY_SLOPE as f32,
            }),
        },
        has_bias: bias.is_some(),
        normalizes: affine.is_some(),
    };
    let absent = || Tensor::<2>::zeros([1, 1], &images.device());
    let bias = bias.unwrap_or_else(absent);
    let Affine { scale, shift } = affine.unwrap_or_else(|| Affine {
        scale: absent(),
        shift: absent(),
    });
    Tensor::from_dispatch(<Dispatch as EpisodeLayer>::episode_layer(
        images.into_dispatch(),
        kernel.into_dispatch(),
        bias.into_dispatch(),
        scale.into_dispatch(),
        shift.into_dispatch(),
        call,
    ))
}

impl EpisodeLayer for Flex {
    fn episode_layer(
        images: CpuTensor,
        kernel: CpuTensor,
        bias: CpuTensor,
        scale: CpuTensor,
        shift: CpuTensor,
        call: LayerCall,
    ) -> CpuTensor {
        call.forward(&[images, kernel, bias, scale, shift].map(contiguous))
            .0
    }
}

impl<C: CheckpointStrategy> EpisodeLayer for Autodiff<Flex, C> {
    fn episode_layer(
        images: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        call: LayerCall,
    ) -> FloatTensor<Self> {
        let parts = [images, kernel, bias, scale, shift].map(FloatTensor::<Self>::into_parts);
        let inputs = parts
            .each_ref()
            .map(|(tensor, _)| contiguous(tensor.clone()));
        let nodes = parts.map(|(_, node)| node);
        let (out, seen) = call.forward(&inputs);
        match LayerStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((call, inputs, Arc::new(seen)), out),
            OpsKind::UnTracked(step) => step.finish(out),
        }
    }
}

/// What the way back needs of the way forward.
#[derive(Debug)]
struct Seen {
    choices: Vec<u8>,
    normalized: Option<Normalized>,
}

/// What was normalised.
#[derive(Debug)]
struct Normalized {
    values: Vec<f32>,
    /// Mean and 1 / standard deviation of each channel.
    statistics: Vec<(f32, f32)>,
}

impl LayerCall {
    fn forward(&self, [images, kernel, bias, scale, shift]: &[CpuTensor; 5]) -> (CpuTensor, Seen) {
        let shape = self.shape;
        let len = shape.episodes * shape.output_len();
        let mut pooled = vec![0.0; len];
        let mut choices = vec![0; shape.episodes * shape.choices_len()];
        pulp::Arch::new().dispatch(forward::Forward {
            shape,
            x: values(images),
            kernel: values(kernel),
            bias: self.has_bias.then(|| values(bias)),
            out: &mut pooled,
            choices: &mut choices,
        });
        if !self.normalizes {
            let seen = Seen {
                choices,
                normalized: None,
            };
            return (self.output(pooled), seen);
        }
        let mut out = Vec::with_capacity(len);
        let mut statistics = vec![(0.0, 0.0); shape.episodes * shape.outputs];
        pulp::Arch::new().dispatch(norm::Normalize {
            x: &pooled,
            scale: values(scale),
            shift: values(shift),
            epsilon: BATCH_NORM_EPSILON as f32,
            out: &mut out,
            statistics: &mut statistics,
        });
        let seen = Seen {
            choices,
            normalized: Some(Normalized {
                values: pooled,
                statistics,
            }),
        };
        (self.output(out), seen)
    }

    fn output(&self, values: Vec<f32>) -> CpuTensor {
        let shape = self.shape;
        let (height, width) = (shape.out_height(), shape.out_width());
        let dims = [shape.episodes, shape.outputs, height, width, shape.images];
        CpuTensor::from_data(TensorData::new(values, dims))
    }
}

/// The way back.
#[derive(Debug)]
struct LayerStep;

impl Backward<Flex, 5> for LayerStep {
    type State = (LayerCall, [CpuTensor; 5], Arc<Seen>);

    fn backward(
        self,
        ops: Ops<Self::State, 5>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (call, inputs, seen) = ops.state;
        let [images, kernel, _, scale, _] = &inputs;
        let shape = call.shape;
        let shapes = inputs.each_ref().map(TensorMetadata::shape);
        let mut gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let channels = shape.episodes * shape.outputs;
        let mut results: [Option<Vec<f32>>; 5] = Default::default();
        if let Some(Normalized {
            values: x,
            statistics,
        }) = &seen.normalized
        {
            let (mut of_scale, mut of_shift) = (vec![0.0; channels], vec![0.0; channels]);
            pulp::Arch::new().dispatch(norm::NormalizeBackward {
                x,
                scale: values(scale),
                statistics,
                gradient: values_mut(&mut gradient),
                scale_gradient: &mut of_scale,
                shift_gradient: &mut of_shift,
            });
            results[3] = Some(of_scale);
            results[4] = Some(of_shift);
        }
        let wanted = |input: usize, len: usize| ops.parents[input].as_ref().map(|_| vec![0.0; len]);
        results[0] = wanted(0, shape.episodes * shape.input_len());
        results[1] = wanted(1, shape.episodes * shape.kernel_len());
        results[2] = wanted(2, channels).filter(|_| call.has_bias);
        let [of_images, of_kernel, of_bias, _, _] = &mut results;
        pulp::Arch::new().dispatch(backward::Backward {
            shape,
            x: values(images),
            kernel: values(kernel),
            choices: &seen.choices,
            gradient: values(&gradient),
            x_gradient: of_images.as_deref_mut(),
            kernel_gradient: of_kernel.as_deref_mut(),
            bias_gradient: of_bias.as_deref_mut(),
        });
        for ((node, shape), values) in ops.parents.into_iter().zip(shapes).zip(results) {
            if let (Some(node), Some(values)) = (node, values) {
                gradients.register::<Flex>(node.id, tensor(values, shape));
            }
        }
    }
}

fn tensor(values: Vec<f32>, shape: Shape) -> CpuTensor {
    CpuTensor::from_data(TensorData::new(values, shape))
}

/// The same values one after another.
fn contiguous(tensor: CpuTensor) -> CpuTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

fn values(tensor: &CpuTensor) -> &[f32] {
    tensor.as_slice().expect(CONTIGUOUS)
}

/// The same, to be written over: a copy of them where somebody else holds the tensor too.
fn values_mut(tensor: &mut CpuTensor) -> &mut [f32] {
    let (start, end) = tensor.layout().contiguous_offsets().expect(CONTIGUOUS);
    &mut tensor.storage_mut()[start..end]
}

const CONTIGUOUS: &str = "a contiguous tensor of single precision";
