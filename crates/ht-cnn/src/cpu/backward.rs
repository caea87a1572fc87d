//! The way back of [`Forward`](super::forward::Forward): gradients of images, kernel and bias.
//!
//! The gradient of the images is a convolution again, of the output's gradient with the kernel
//! turned round; under a stride of s it falls into s · s convolutions, one for each phase of
//! the image's rows and columns.

use pulp::{Simd, WithSimd};

use super::forward::NEGATIVE;
use super::rows::{InputBand, SLACK, copy_images};
use super::shape::{Chunk, LANES, LayerShape, chunks};
use super::spread::{Spread, before_activation};
use super::tiles::{Lines, PackedWeights, RowsMut, convolve_row, correlate_rows};

/// One call.
pub(super) struct Backward<'a> {
    /// Sizes.
    pub(super) shape: LayerShape,
    /// `[E, I, H, W, B]`.
    pub(super) x: &'a [f32],
    /// `[E, O, I, F, F]`.
    pub(super) kernel: &'a [f32],
    /// What the way forward chose.
    pub(super) choices: &'a [u8],
    /// `[E, O, H', W', B]`: gradient of the result.
    pub(super) gradient: &'a [f32],
    /// As `x`, where wanted.
    pub(super) x_gradient: Option<&'a mut [f32]>,
    /// As `kernel`, where wanted.
    pub(super) kernel_gradient: Option<&'a mut [f32]>,
    /// `[E, O]`, where wanted.
    pub(super) bias_gradient: Option<&'a mut [f32]>,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let shape = self.shape;
        let mut spread = Spread::new(&shape, self.x_gradient.is_some(), S::F32_LANES);
        let mut sums = vec![simd.splat_f32s(0.0); shape.kernel_len()];
        let phases = Phase::all(&shape, &spread);
        let mut turned = PackedWeights::default();
        for e in 0..shape.episodes {
            let x = &self.x[e * shape.input_len()..][..shape.input_len()];
            let kernel = &self.kernel[e * shape.kernel_len()..][..shape.kernel_len()];
            let gradient = &self.gradient[e * shape.output_len()..];
            let choices = &self.choices[e * shape.choices_len()..][..shape.choices_len()];
            if let Some(bias) = &mut self.bias_gradient {
                let bias = &mut bias[e * shape.outputs..][..shape.outputs];
                sum_channels(simd, &shape, gradient, choices, bias);
            }
            for chunk in chunks(shape.images, spread.floats(&shape)) {
                spread.resize(chunk.len);
                let mut band = InputBand::new(&shape, spread.band, chunk.len);
                let taps = band.taps(&shape, 0);
                let next_row = band.taps(&shape, 1)[0];
                for first in (0..shape.out_height() * shape.pooling).step_by(spread.band) {
                    let rows = spread.band.min(shape.out_height() * shape.pooling - first);
                    spread.read(simd, &shape, gradient, choices, first..first + rows, chunk);
                    if self.kernel_gradient.is_some() {
                        band.read(&shape, x, first, chunk);
                        let starts: Vec<_> = (0..rows)
                            .map(|row| (spread.start(first + row), row * next_row))
                            .collect();
                        let lines = Lines {
                            starts: &starts,
                            len: shape.convolved_width * chunk.len,
                        };
                        correlate_rows(
                            simd,
                            band.rows(&shape),
                            &taps,
                            spread.rows(),
                            &lines,
                            &mut sums,
                        );
                    }
                }
                if let Some(to) = &mut self.x_gradient {
                    let to = &mut to[e * shape.input_len()..][..shape.input_len()];
                    for phase in &phases {
                        phase.pack::<S>(&shape, kernel, &mut turned);
                        phase.convolve(simd, &shape, &spread, &turned, to, chunk);
                    }
                }
            }
            if let Some(to) = &mut self.kernel_gradient {
                let to = &mut to[e * shape.kernel_len()..][..shape.kernel_len()];
                for (to, sum) in to.iter_mut().zip(&mut sums) {
                    *to = simd.reduce_sum_f32s(*sum);
                    *sum = simd.splat_f32s(0.0);
                }
            }
        }
    }
}

/// The pixels `y = row (mod s)`, `x = column (mod s)` of the images.
struct Phase {
    row: usize,
    column: usize,
    /// Values of the kernel that reach these pixels, and where their gradients stand relative
    /// to the pixel: rows and columns.
    cells: Vec<(usize, [usize; 2])>,
}

impl Phase {
    fn all(shape: &LayerShape, spread: &Spread) -> Vec<Self> {
        let (f, s) = (shape.kernel, shape.stride);
        let shift = |phase: usize, before: usize, k: usize| {
            let from = spread.reach * s + phase + before;
            (from >= k && (from - k).is_multiple_of(s)).then(|| (from - k) / s)
        };
        let phase = |row: usize, column: usize| Self {
            row,
            column,
            cells: (0..f * f)
                .filter_map(|cell| {
                    let rows = shift(row, shape.top, cell / f)?;
                    let columns = shift(column, shape.left, cell % f)?;
                    Some((cell, [rows, columns]))
                })
                .collect(),
        };
        (0..s)
            .flat_map(|row| (0..s).map(move |column| phase(row, column)))
            .collect()
    }

    #[inline(always)]
    fn pack<S: Simd>(&self, shape: &LayerShape, kernel: &[f32], weights: &mut PackedWeights) {
        let sizes = [shape.inputs, shape.outputs, self.cells.len()];
        weights.pack::<S>(sizes, |i, o, t| {
            kernel[(o * shape.inputs + i) * shape.taps() + self.cells[t].0]
        });
    }

    #[inline(always)]
    fn convolve<S: Simd>(
        &self,
        simd: S,
        shape: &LayerShape,
        spread: &Spread,
        weights: &PackedWeights,
        x_gradient: &mut [f32],
        chunk: Chunk,
    ) {
        if self.column >= shape.width {
            return;
        }
        let s = shape.stride;
        let len = (shape.width - self.column).div_ceil(s) * chunk.len;
        let stride = len + SLACK;
        let mut line = vec![0.0; shape.inputs * stride];
        for y in (self.row..shape.height).step_by(s) {
            let taps: Vec<_> = self
                .cells
                .iter()
                .map(|&(_, [rows, columns])| (y / s + rows) * spread.line() + columns * chunk.len)
                .collect();
            if !taps.is_empty() {
                let to = RowsMut {
                    values: &mut line,
                    stride,
                };
                convolve_row(simd, spread.rows(), &taps, weights, to, len);
            }
            for (i, line) in line.chunks_exact(stride).enumerate() {
                let to = &mut x_gradient[(i * shape.height + y) * shape.width * shape.images..];
                if s == 1 && chunk.len == shape.images {
                    to[..len].copy_from_slice(&line[..len]);
                    continue;
                }
                for (k, images) in line[..len].chunks_exact(chunk.len).enumerate() {
                    let at = (k * s + self.column) * shape.images + chunk.first;
                    copy_images(&mut to[at..], images, chunk.len);
                }
            }
        }
    }
}

/// The gradient of the bias: sums over pixels and images.
#[inline(always)]
fn sum_channels<S: Simd>(
    simd: S,
    shape: &LayerShape,
    gradient: &[f32],
    choices: &[u8],
    to: &mut [f32],
) {
    let slope = shape.slope.unwrap_or(1.0);
    for (o, to) in to.iter_mut().enumerate() {
        let mut sums = simd.splat_f32s(0.0);
        let mut rest = 0.0;
        let first = shape.place(o, 0);
        for pixel in first..first + shape.out_height() * shape.out_width() {
            let gradient = &gradient[pixel * shape.images..][..shape.images];
            let choices = &choices[pixel * shape.lanes()..][..shape.images];
            let (gradient, last_gradient) = gradient.as_chunks::<LANES>();
            let (choices, last_choices) = choices.as_chunks::<LANES>();
            for (gradient, choices) in gradient.iter().zip(choices) {
                let choices = choices.map(u32::from);
                let vectors = S::as_simd_f32s(gradient).0.iter();
                for (&gradient, &choices) in vectors.zip(S::as_simd_u32s(&choices).0) {
                    let active = before_activation(simd, gradient, choices, slope);
                    sums = simd.add_f32s(sums, active);
                }
            }
            for (&gradient, &choice) in last_gradient.iter().zip(last_choices) {
                let is_negative = u32::from(choice) >= NEGATIVE;
                rest += if is_negative {
                    gradient * slope
                } else {
                    gradient
                };
            }
        }
        *to = simd.reduce_sum_f32s(sums) + rest;
    }
}
