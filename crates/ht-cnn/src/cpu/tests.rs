//! The loops on every instruction set that this processor has: the widest one is what all other
//! tests see, and narrower ones take other paths through the tiles.

use pulp::{Scalar, Simd};

use super::backward::Backward;
use super::forward::Forward;
use super::norm::{Normalize, NormalizeBackward};
use super::shape::{LANES, LayerShape};

/// Values that look random and are the same everywhere.
fn wave(len: usize, phase: f32) -> Vec<f32> {
    let value = |k: usize| ((k as f32 * 12.9898 + phase).sin() * 43.7).sin();
    (0..len).map(value).collect()
}

/// Everything that the loops compute for a shape, one vector per result.
fn run<S: Simd>(simd: S, shape: LayerShape) -> Vec<Vec<f32>> {
    let (e, channels) = (shape.episodes, shape.episodes * shape.outputs);
    let x = wave(e * shape.input_len(), 0.1);
    let kernel = wave(e * shape.kernel_len(), 0.2);
    let bias = wave(channels, 0.3);
    let mut pooled = vec![0.0; e * shape.output_len()];
    let mut out = Vec::new();
    let mut choices = vec![0; e * shape.choices_len()];
    simd.vectorize(Forward {
        shape,
        x: &x,
        kernel: &kernel,
        bias: Some(&bias),
        out: &mut pooled,
        choices: &mut choices,
    });
    let scale = wave(channels, 0.4);
    let mut statistics = vec![(0.0, 0.0); channels];
    simd.vectorize(Normalize {
        x: &pooled,
        scale: &scale,
        shift: &bias,
        epsilon: 1e-3,
        out: &mut out,
        statistics: &mut statistics,
    });
    let mut gradient = wave(e * shape.output_len() + LANES, 0.5);
    let [mut scale_gradient, mut shift_gradient] = [(); 2].map(|()| vec![0.0; channels]);
    simd.vectorize(NormalizeBackward {
        x: &pooled,
        scale: &scale,
        statistics: &statistics,
        gradient: &mut gradient,
        scale_gradient: &mut scale_gradient,
        shift_gradient: &mut shift_gradient,
    });
    let mut x_gradient = vec![0.0; x.len()];
    let mut kernel_gradient = vec![0.0; kernel.len()];
    let mut bias_gradient = vec![0.0; channels];
    simd.vectorize(Backward {
        shape,
        x: &x,
        kernel: &kernel,
        choices: &choices,
        gradient: &gradient,
        x_gradient: Some(&mut x_gradient),
        kernel_gradient: Some(&mut kernel_gradient),
        bias_gradient: Some(&mut bias_gradient),
    });
    vec![
        out,
        scale_gradient,
        shift_gradient,
        x_gradient,
        kernel_gradient,
        bias_gradient,
    ]
}

fn shapes() -> Vec<LayerShape> {
    let mut shapes = Vec::new();
    for (inputs, outputs, images) in [(1, 3, 1), (2, 8, 20), (5, 13, 33)] {
        for (stride, pooling) in [(1, 1), (1, 2), (2, 1), (3, 1)] {
            let convolved = (9 + 2 - 3) / stride + 1;
            shapes.push(LayerShape {
                episodes: 2,
                images,
                inputs,
                outputs,
                height: 9,
                width: 9,
                kernel: 3,
                stride,
                top: 1,
                left: 1,
                convolved_height: convolved,
                convolved_width: convolved,
                pooling,
                slope: Some(0.01),
            });
        }
    }
    shapes
}

fn agree(ours: &[Vec<f32>], widest: &[Vec<f32>], what: &str) {
    for (part, (ours, widest)) in ours.iter().zip(widest).enumerate() {
        let size = widest.iter().fold(1.0f32, |size, x| size.max(x.abs()));
        for (a, b) in ours.iter().zip(widest) {
            assert!(
                (a - b).abs() <= 1e-3 * size,
                "{what}, part {part}: {a} and {b}"
            );
        }
    }
}

struct Widest(LayerShape);

impl pulp::WithSimd for Widest {
    type Output = Vec<Vec<f32>>;

    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        run(simd, self.0)
    }
}

#[test]
fn narrower_instruction_sets_compute_the_same() {
    for shape in shapes() {
        let widest = pulp::Arch::new().dispatch(Widest(shape));
        agree(
            &run(Scalar, shape),
            &widest,
            &format!("plain code, {shape:?}"),
        );
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            agree(&run(simd, shape), &widest, &format!("AVX2, {shape:?}"));
        }
    }
}
