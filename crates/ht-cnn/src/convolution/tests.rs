//! The CPU's own loops against the definition in ordinary operations: results and gradients.

use burn::tensor::{Device, Int};
use proptest::prelude::*;

use super::*;
use crate::Padding;

/// A call of the layer operation, small enough to vary everything.
#[derive(Clone, Debug)]
struct Call {
    episodes: usize,
    images: usize,
    inputs: usize,
    outputs: usize,
    sides: [usize; 2],
    kernel: usize,
    has_bias: bool,
    normalizes: bool,
    /// Whether the images need a gradient: a first layer's do not.
    tracks_images: bool,
    convolution: Convolution,
}

fn calls() -> impl Strategy<Value = Call> {
    let sizes = (1..4usize, 1..40usize, 1..10usize, 1..18usize);
    let geometry = (1..12usize, 1..12usize, 1..6usize, 1..4usize, any::<bool>());
    let activations = prop_oneof![
        Just(None),
        Just(Some(Activation::Relu)),
        Just(Some(Activation::LeakyRelu)),
    ];
    let rest = (
        activations,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    (sizes, geometry, rest).prop_filter_map(
        "a kernel larger than the image, or nothing to pool",
        |(sizes, geometry, rest)| {
            let (episodes, images, inputs, outputs) = sizes;
            let (h, w, kernel, stride, same) = geometry;
            let (activation, pools, has_bias, normalizes, tracks_images) = rest;
            let padding = if same { Padding::Same } else { Padding::Valid };
            let zeros = [h, w].map(|side| padding.zeros(side, kernel, stride));
            let convolved = |side: usize, (before, after): (usize, usize)| {
                (side + before + after)
                    .checked_sub(kernel)
                    .map(|rest| rest / stride + 1)
            };
            let smallest = convolved(h, zeros[0])?.min(convolved(w, zeros[1])?);
            let pooling = if pools { Pooling::Max } else { Pooling::None };
            (smallest >= if pools { 2 } else { 1 }).then_some(Call {
                episodes,
                images,
                inputs,
                outputs,
                sides: [h, w],
                kernel,
                has_bias,
                normalizes,
                tracks_images,
                convolution: Convolution {
                    stride,
                    padding: zeros,
                    activation,
                    pooling,
                },
            })
        },
    )
}

/// Values that look random and are the same everywhere.
fn wave<const D: usize>(shape: [usize; D], phase: f32, device: &Device) -> Tensor<D> {
    let n_values = shape.iter().product::<usize>() as i64;
    let ramp = Tensor::<1, Int>::arange(0..n_values, device).float();
    let values = ((ramp * 12.9898 + phase).sin() * 43.7).sin().reshape(shape);
    values.detach().require_grad()
}

type Layer = fn(Operands, &Convolution) -> Tensor<5>;

/// The result of a layer, and the gradients of a weighted sum of it.
fn run(call: &Call, layer: Layer) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let &Call {
        episodes: e,
        inputs: i,
        outputs: o,
        kernel: f,
        ..
    } = call;
    let [h, w] = call.sides;
    let images = wave([e, i, h, w, call.images], 0.1, &device);
    let images = if call.tracks_images {
        images
    } else {
        images.detach()
    };
    let kernel = wave([e, o, i, f, f], 0.2, &device);
    let bias = wave([e, o], 0.3, &device);
    let affine = Affine {
        scale: wave([e, o], 0.4, &device),
        shift: wave([e, o], 0.5, &device),
    };
    let operands = Operands {
        images: images.clone(),
        kernel: kernel.clone(),
        bias: call.has_bias.then(|| bias.clone()),
        affine: call.normalizes.then(|| affine.clone()),
    };
    let out = layer(operands, &call.convolution);
    let weights = wave(out.dims(), 0.6, &device).detach();
    let gradients = (out.clone() * weights).sum().backward();
    let vector = |data: burn::tensor::TensorData| data.iter::<f32>().collect::<Vec<_>>();
    let mut results = vec![
        vector(out.into_data()),
        vector(kernel.grad(&gradients).expect("tracked").into_data()),
    ];
    if call.tracks_images {
        results.push(vector(
            images.grad(&gradients).expect("tracked").into_data(),
        ));
    }
    let small = [
        (call.has_bias, bias),
        (call.normalizes, affine.scale),
        (call.normalizes, affine.shift),
    ];
    for (used, tensor) in small {
        if used {
            results.push(vector(
                tensor.grad(&gradients).expect("tracked").into_data(),
            ));
        }
    }
    results
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_cpus_loops_compute_the_definition(call in calls()) {
        let ours = run(&call, crate::cpu::layer);
        let definition = run(&call, ordinary_layer);
        let results = &definition;
        let largest = |values: &[f32]| values.iter().fold(1.0f32, |size, x| size.max(x.abs()));
        let bias = if call.tracks_images { 3 } else { 2 };
        for (part, (ours, definition)) in ours.iter().zip(results).enumerate() {
            prop_assert_eq!(ours.len(), definition.len());
            let mut size = largest(definition);
            if call.has_bias && part == bias {
                // The same sum as a kernel's gradient, of pixels that are one. Batch normalisation
                // makes it zero but for rounding.
                size = size.max(largest(&results[1]));
            }
            for (a, b) in ours.iter().zip(definition) {
                prop_assert!((a - b).abs() <= 3e-4 * size, "part {part}: {a} against {b} of {size}");
            }
        }
    }
}

#[test]
fn the_cpus_loops_are_the_ones_in_use() {
    let operands = |device: &Device| Operands {
        images: Tensor::zeros([1, 1, 3, 3, 2], device),
        kernel: Tensor::zeros([1, 1, 1, 3, 3], device),
        bias: None,
        affine: None,
    };
    let device = Device::flex();
    assert!(crate::cpu::serves(&operands(&device)));
    assert!(crate::cpu::serves(&operands(&device.clone().autodiff())));
    // Double precision takes the definition.
    let double = Operands {
        images: Tensor::zeros([1, 1, 3, 3, 2], (&device, burn::tensor::DType::F64)),
        ..operands(&device)
    };
    assert!(!crate::cpu::serves(&double));
}
