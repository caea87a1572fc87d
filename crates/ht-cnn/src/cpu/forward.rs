//! Convolution, bias, pooling and activation in one sweep over the rows.
//!
//! Pooling comes before the activation here, which is the same because no activation
//! decreases, and a quarter of the work.

use pulp::{Simd, WithSimd};

use super::rows::{InputBand, SLACK};
use super::shape::{LANES, LayerShape, chunks};
use super::tiles::{PackedWeights, RowsMut, convolve_row};

/// In [`Forward::choices`]: the output is not positive.
pub(super) const NEGATIVE: u32 = 4;

/// One call.
pub(super) struct Forward<'a> {
    /// Sizes.
    pub(super) shape: LayerShape,
    /// `[E, I, H, W, B]`.
    pub(super) x: &'a [f32],
    /// `[E, O, I, F, F]`.
    pub(super) kernel: &'a [f32],
    /// `[E, O]`.
    pub(super) bias: Option<&'a [f32]>,
    /// `[E, O, H', W', B]`: the result.
    pub(super) out: &'a mut [f32],
    /// `[E, O, H', W', B]`, B filled up to whole blocks of images: which of the pooled pixels was
    /// the largest (0 to 3), plus [`NEGATIVE`].
    pub(super) choices: &'a mut [u8],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let shape = self.shape;
        let rows = shape.pooling;
        let floats = InputBand::floats(&shape, rows) + shape.outputs * rows * shape.convolved_width;
        let mut weights = PackedWeights::default();
        for chunk in chunks(shape.images, floats) {
            let mut band = InputBand::new(&shape, rows, chunk.len);
            let line = shape.convolved_width * chunk.len + SLACK;
            let mut convolved = vec![0.0; shape.outputs * rows * line];
            let taps: Vec<_> = (0..rows).map(|row| band.taps(&shape, row)).collect();
            for e in 0..shape.episodes {
                let x = &self.x[e * shape.input_len()..][..shape.input_len()];
                let kernel = &self.kernel[e * shape.kernel_len()..][..shape.kernel_len()];
                let out = &mut self.out[e * shape.output_len()..][..shape.output_len()];
                let choices = &mut self.choices[e * shape.choices_len()..][..shape.choices_len()];
                let sizes = [shape.outputs, shape.inputs, shape.taps()];
                weights.pack::<S>(sizes, |o, c, t| {
                    kernel[(o * shape.inputs + c) * shape.taps() + t]
                });
                for r in 0..shape.out_height() {
                    band.read(&shape, x, r * rows, chunk);
                    for (row, taps) in taps.iter().enumerate() {
                        let to = RowsMut {
                            values: &mut convolved[row * line..],
                            stride: rows * line,
                        };
                        let len = shape.convolved_width * chunk.len;
                        convolve_row(simd, band.rows(&shape), taps, &weights, to, len);
                    }
                    for (o, convolved) in convolved.chunks_exact(rows * line).enumerate() {
                        let line = Line {
                            convolved,
                            below: line,
                            bias: self.bias.map_or(0.0, |bias| bias[e * shape.outputs + o]),
                            slope: shape.slope.unwrap_or(1.0),
                        };
                        let place = shape.place(o, r);
                        let out = &mut out[place * shape.images + chunk.first..];
                        let choices = &mut choices[place * shape.lanes() + chunk.first..];
                        let strides = (shape.images, shape.lanes());
                        let sizes = (shape.out_width(), chunk.len);
                        match (rows, shape.slope) {
                            (1, None) => {
                                line.finish::<S, false, false>(simd, out, choices, strides, sizes);
                            }
                            (1, _) => {
                                line.finish::<S, false, true>(simd, out, choices, strides, sizes);
                            }
                            (_, None) => {
                                line.finish::<S, true, false>(simd, out, choices, strides, sizes);
                            }
                            (_, _) => {
                                line.finish::<S, true, true>(simd, out, choices, strides, sizes);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The pixels of one output row of one channel, for all images of a chunk.
struct Line<'a> {
    convolved: &'a [f32],
    /// Floats to the row below.
    below: usize,
    bias: f32,
    slope: f32,
}

impl Line<'_> {
    /// Fills the row; `out` and `choices` start at its first column.
    ///
    /// Blocks of images are whole vectors: behind the last image there is room in `convolved`
    /// and in `choices`, though not in `out`.
    #[inline(always)]
    fn finish<S: Simd, const POOLS: bool, const ACTIVE: bool>(
        &self,
        simd: S,
        out: &mut [f32],
        choices: &mut [u8],
        (out_stride, choice_stride): (usize, usize),
        (columns, n): (usize, usize),
    ) {
        let step = if POOLS { 2 * n } else { n };
        for column in 0..columns {
            let out = &mut out[column * out_stride..][..n];
            let choices = &mut choices[column * choice_stride..];
            let (choices, _) = choices.as_chunks_mut::<LANES>();
            let pixels = &self.convolved[column * step..];
            for (block, choices) in choices[..n.div_ceil(LANES)].iter_mut().enumerate() {
                let at = block * LANES;
                let read = |at: usize| S::as_simd_f32s(&pixels[at..at + LANES]).0;
                let (mut values, mut numbers) = ([0.0; LANES], [0u32; LANES]);
                let vectors = S::as_mut_simd_f32s(&mut values).0.iter_mut();
                let vectors = vectors.zip(S::as_mut_simd_u32s(&mut numbers).0);
                if POOLS {
                    let (a, b) = (read(at), read(at + n));
                    let (c, d) = (read(at + self.below), read(at + self.below + n));
                    for (k, (value, choice)) in vectors.enumerate() {
                        let (top, left) = larger(simd, (a[k], 0), (b[k], 1));
                        let (bottom, right) = larger(simd, (c[k], 2), (d[k], 3));
                        let is_below = simd.greater_than_f32s(bottom, top);
                        let pooled = simd.select_f32s(is_below, bottom, top);
                        let cell = simd.select_u32s(is_below, right, left);
                        (*value, *choice) = self.activate::<S, ACTIVE>(simd, pooled, cell);
                    }
                } else {
                    let zero = simd.splat_u32s(0);
                    for ((value, choice), &pixel) in vectors.zip(read(at)) {
                        (*value, *choice) = self.activate::<S, ACTIVE>(simd, pixel, zero);
                    }
                }
                *choices = numbers.map(|number| number as u8);
                match out[at..].first_chunk_mut::<LANES>() {
                    Some(out) => *out = values,
                    None => out[at..].copy_from_slice(&values[..n - at]),
                }
            }
        }
    }

    #[inline(always)]
    fn activate<S: Simd, const ACTIVE: bool>(
        &self,
        simd: S,
        pixels: S::f32s,
        choices: S::u32s,
    ) -> (S::f32s, S::u32s) {
        let values = simd.add_f32s(pixels, simd.splat_f32s(self.bias));
        if !ACTIVE {
            return (values, choices);
        }
        let negative = simd.less_than_or_equal_f32s(values, simd.splat_f32s(0.0));
        let scaled = simd.mul_f32s(values, simd.splat_f32s(self.slope));
        let marked = simd.or_u32s(choices, simd.splat_u32s(NEGATIVE));
        (
            simd.select_f32s(negative, scaled, values),
            simd.select_u32s(negative, marked, choices),
        )
    }
}

/// The larger of two values and its number; the first where they are equal.
#[inline(always)]
fn larger<S: Simd>(
    simd: S,
    (a, first): (S::f32s, u32),
    (b, second): (S::f32s, u32),
) -> (S::f32s, S::u32s) {
    let is_second = simd.greater_than_f32s(b, a);
    let numbers = simd.select_u32s(is_second, simd.splat_u32s(second), simd.splat_u32s(first));
    (simd.select_f32s(is_second, b, a), numbers)
}
