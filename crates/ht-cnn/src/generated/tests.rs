//! Laws of the CNN runner: an episode in a meta-batch is what it is alone, a layer is what a
//! loop over pixels computes, and gradients reach every weight.

use burn::tensor::{Device, Int, Tensor, TensorData, Tolerance};
use proptest::prelude::*;

use super::*;
use crate::{CnnConfig, Convolution, Geometry, Padding, Pooling, convolve};

/// Values that look random and are the same everywhere.
fn wave<const D: usize>(shape: [usize; D], phase: f32, device: &Device) -> Tensor<D> {
    let n_values = shape.iter().product::<usize>() as i64;
    let ramp = Tensor::<1, Int>::arange(0..n_values, device).float();
    ((ramp * 12.9898 + phase).sin() * 7.31).sin().reshape(shape)
}

fn drawing(channels: usize) -> Geometry {
    Geometry {
        channels,
        height: 28,
        width: 28,
    }
}

fn cnn(spec: &CnnSpec, n_episodes: usize, device: &Device) -> GeneratedCnn {
    let layers = spec
        .layers
        .iter()
        .enumerate()
        .map(|(l, layer)| {
            let (o, i, f) = (layer.output.channels, layer.input.channels, layer.kernel);
            let phase = l as f32;
            LayerWeights {
                kernel: wave([n_episodes, o, i, f, f], phase, device),
                bias: Some(wave([n_episodes, o], phase + 0.1, device)),
                scale: wave([n_episodes, o], phase + 0.2, device) + 1.5,
                shift: wave([n_episodes, o], phase + 0.3, device),
            }
        })
        .collect();
    let logits = LogitsWeights {
        kernel: wave([n_episodes, spec.ways, spec.n_features()], 9.0, device),
        bias: wave([n_episodes, spec.ways], 9.5, device),
    };
    GeneratedCnn {
        spec: spec.clone(),
        layers,
        logits,
        statistics: None,
        absent: None,
    }
}

/// The CNN of one episode, cut out of a meta-batch.
fn episode(cnn: &GeneratedCnn, e: usize) -> GeneratedCnn {
    let layer = |weights: &LayerWeights| LayerWeights {
        kernel: weights.kernel.clone().narrow(0, e, 1),
        bias: weights.bias.clone().map(|bias| bias.narrow(0, e, 1)),
        scale: weights.scale.clone().narrow(0, e, 1),
        shift: weights.shift.clone().narrow(0, e, 1),
    };
    GeneratedCnn {
        spec: cnn.spec.clone(),
        layers: cnn.layers.iter().map(layer).collect(),
        logits: LogitsWeights {
            kernel: cnn.logits.kernel.clone().narrow(0, e, 1),
            bias: cnn.logits.bias.clone().narrow(0, e, 1),
        },
        statistics: None,
        absent: None,
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().expect("floats")
}

/// One convolution of one image, pixel by pixel.
fn naive_conv(image: &[f32], kernel: &[f32], bias: &[f32], spec: &crate::ConvSpec) -> Vec<f32> {
    let (i, h, w) = (spec.input.channels, spec.input.height, spec.input.width);
    let (o, f) = (spec.output.channels, spec.kernel);
    let mut out = Vec::new();
    for oc in 0..o {
        for row in 0..spec.convolved.height {
            for column in 0..spec.convolved.width {
                let mut sum = bias[oc];
                for ic in 0..i {
                    for (y, x) in (0..f).flat_map(|y| (0..f).map(move |x| (y, x))) {
                        let source_row = (row * spec.stride + y).wrapping_sub(spec.padding[0].0);
                        let source_column =
                            (column * spec.stride + x).wrapping_sub(spec.padding[1].0);
                        if source_row < h && source_column < w {
                            sum += image[(ic * h + source_row) * w + source_column]
                                * kernel[((oc * i + ic) * f + y) * f + x];
                        }
                    }
                }
                out.push(sum);
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn convolution_is_what_a_loop_computes(
        side in 3..9usize, channels in 1..4usize, kernel in 1..4usize, stride in 1..3usize,
        same: bool, inputs in 1..4usize,
    ) {
        let config = CnnConfig {
            depth: 1, channels, kernel, stride, pooling: Pooling::None,
            padding: if same { Padding::Same } else { Padding::Valid },
            ..CnnConfig::default()
        };
        let image = Geometry { channels: inputs, height: side, width: side + 1 };
        let spec = CnnSpec::new(&config, image, 2).expect("a kernel of 3 fits 3 pixels");
        let device = Device::flex();
        let (e, b) = (3, 2);
        let cnn = cnn(&spec, e, &device);
        let images = wave([e, b, inputs, side, side + 1], 0.7, &device);
        let weights = &cnn.layers[0];
        let bias = weights.bias.clone().expect("a bias");
        let kernel = weights.kernel.clone();
        let convolution = Convolution { activation: None, ..(&spec.layers[0]).into() };
        let activations = Activations::from_images(images.clone());
        let convolved = convolve(activations, kernel, Some(bias.clone()), &convolution)
            .into_images();
        for episode in 0..e {
            let kernel = values(weights.kernel.clone().narrow(0, episode, 1));
            let bias = values(bias.clone().narrow(0, episode, 1));
            for image in 0..b {
                let pick = |t: Tensor<5>| values(t.narrow(0, episode, 1).narrow(1, image, 1));
                let expected = naive_conv(&pick(images.clone()), &kernel, &bias, &spec.layers[0]);
                for (ours, theirs) in pick(convolved.clone()).iter().zip(&expected) {
                    prop_assert!((ours - theirs).abs() < 1e-4, "{ours} against {theirs}");
                }
            }
        }
    }
}

#[test]
fn an_episode_alone_gives_what_it_gives_in_a_meta_batch() {
    let device = Device::flex();
    let spec = CnnSpec::new(&CnnConfig::default(), drawing(1), 5).expect("fits");
    let cnn = cnn(&spec, 3, &device);
    let images = wave([3, 4, 1, 28, 28], 0.0, &device);
    let together = cnn.forward(images.clone());
    for e in 0..3 {
        let alone = episode(&cnn, e).forward(images.clone().narrow(0, e, 1));
        alone.into_data().assert_approx_eq::<f32>(
            &together.clone().narrow(0, e, 1).into_data(),
            Tolerance::absolute(1e-4),
        );
    }
}

#[test]
fn gradients_reach_every_weight() {
    let device = Device::flex().autodiff();
    let spec = CnnSpec::new(&CnnConfig::default(), drawing(1), 5).expect("fits");
    let mut cnn = cnn(&spec, 2, &device);
    for layer in &mut cnn.layers {
        layer.kernel = layer.kernel.clone().detach().require_grad();
        layer.scale = layer.scale.clone().detach().require_grad();
    }
    cnn.logits.kernel = cnn.logits.kernel.clone().detach().require_grad();
    let logits = cnn.forward(wave([2, 4, 1, 28, 28], 0.0, &device));
    let gradients = logits.square().sum().backward();
    let largest = |data: TensorData| data.iter::<f32>().fold(0f32, |a, b| a.max(b.abs()));
    for layer in &cnn.layers {
        let kernel = layer.kernel.grad(&gradients).expect("tracked");
        assert!(largest(kernel.into_data()) > 1e-6);
        let scale = layer.scale.grad(&gradients).expect("tracked");
        assert!(largest(scale.into_data()) > 1e-6);
    }
    let logits = cnn.logits.kernel.grad(&gradients).expect("tracked");
    assert!(largest(logits.into_data()) > 1e-6);
}

#[test]
fn hidden_images_change_nothing() {
    let device = Device::flex();
    let spec = CnnSpec::new(&CnnConfig::default(), drawing(1), 5).expect("fits");
    let cnn = cnn(&spec, 2, &device);
    let images = wave([2, 4, 1, 28, 28], 0.0, &device);
    let plain = cnn.forward(images.clone());
    let padded = Tensor::cat(vec![images, wave([2, 3, 1, 28, 28], 0.8, &device)], 1);
    let hidden =
        Tensor::<2, Bool>::from_data([[false, false, false, false, true, true, true]; 2], &device);
    let with_padding = cnn
        .classify(Activations::from_images(padded.clone()).hide(Some(hidden)))
        .narrow(1, 0, 4);
    with_padding
        .into_data()
        .assert_approx_eq::<f32>(&plain.clone().into_data(), Tolerance::absolute(1e-3));
    // The test would not fail by itself: unhidden, the same images do change the statistics.
    let unhidden = cnn.forward(padded).narrow(1, 0, 4);
    let change: f32 = (unhidden - plain).abs().max().into_scalar();
    assert!(change > 0.1, "{change}");
}

#[test]
fn absent_labels_have_no_probability() {
    let device = Device::flex();
    let spec = CnnSpec::new(&CnnConfig::default(), drawing(1), 3).expect("fits");
    let mut cnn = cnn(&spec, 1, &device);
    let images = wave([1, 4, 1, 28, 28], 0.0, &device);
    let all = cnn.forward(images.clone());
    cnn.absent = Some(Tensor::from_data([[false, true, false]], &device));
    let some = cnn.forward(images);
    let column = |logits: &Tensor<3>, label| values(logits.clone().narrow(2, label, 1));
    assert!(
        column(&some, 1)
            .iter()
            .all(|&logit| f64::from(logit) <= 0.99 * ABSENT_LOGIT)
    );
    for label in [0, 2] {
        assert_eq!(column(&some, label), column(&all, label));
    }
}

proptest! {
    #[test]
    fn slices_carry_kernel_bias_scale_and_shift(bias: bool, norm: bool, channels in 1..5usize) {
        use crate::{PartialWeights, SliceLayout, WeightAllocation};
        let config = CnnConfig { depth: 1, channels, bias, ..CnnConfig::default() };
        let image = Geometry { channels: 2, height: 8, width: 8 };
        let spec = CnnSpec::new(&config, image, 2).expect("fits").layers.remove(0);
        let layout = SliceLayout { allocation: WeightAllocation::Output, norm };
        let grid = layout.grid(&spec);
        prop_assert_eq!(grid.len, 18 + usize::from(bias) + 2 * usize::from(norm));
        let device = Device::flex();
        let slices = wave([2, grid.count, grid.len], 0.3, &device);
        let parts = PartialWeights::from_slices(&slices, layout, &spec);
        let kernel = layout.allocation.cut(parts.kernel.expect("generated"), &spec);
        let column = |t: Option<Tensor<2>>| t.map(|t| t.unsqueeze_dim::<3>(2));
        let rest = [parts.bias, parts.scale, parts.shift].map(column).into_iter().flatten();
        let joined = Tensor::cat(std::iter::once(kernel).chain(rest).collect(), 2);
        prop_assert_eq!(values(joined), values(slices));
    }
}
