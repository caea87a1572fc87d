//! Convolution, bias, pooling and activation in one sweep over the rows.
//!
//! Pooling comes before the activation here, which is the same because no activation
//! decreases, and a quarter of the work.

use pulp::{Simd, WithSimd};

use super::rows::{InputBand, SLACK};
use super::shape::{LANES, LayerShape, chunks};
use super::tiles::{PackedWeights, RowsMut, convolve_row};

/// In [`Forward::choices`]: the output is not positive.
pub(super) const NEGATIVE: u8 = 4;

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
                            (1, None) => line.finish::<false, false>(out, choices, strides, sizes),
                            (1, _) => line.finish::<false, true>(out, choices, strides, sizes),
                            (_, None) => line.finish::<true, false>(out, choices, strides, sizes),
                            (_, _) => line.finish::<true, true>(out, choices, strides, sizes),
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
    fn finish<const POOLS: bool, const ACTIVE: bool>(
        &self,
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
                let read = |at: usize| pixels[at..].first_chunk::<LANES>().expect("slack behind");
                let mut values = [0.0; LANES];
                if POOLS {
                    let (a, b) = (read(at), read(at + n));
                    let (c, d) = (read(at + self.below), read(at + self.below + n));
                    for k in 0..LANES {
                        let (top, left) = if b[k] > a[k] { (b[k], 1) } else { (a[k], 0) };
                        let (bottom, right) = if d[k] > c[k] { (d[k], 3) } else { (c[k], 2) };
                        let (value, at) = if bottom > top {
                            (bottom, right)
                        } else {
                            (top, left)
                        };
                        (values[k], choices[k]) = self.activate::<ACTIVE>(value, at);
                    }
                } else {
                    let a = read(at);
                    for k in 0..LANES {
                        (values[k], choices[k]) = self.activate::<ACTIVE>(a[k], 0);
                    }
                }
                match out[at..].first_chunk_mut::<LANES>() {
                    Some(out) => *out = values,
                    None => out[at..].copy_from_slice(&values[..n - at]),
                }
            }
        }
    }

    #[inline(always)]
    fn activate<const ACTIVE: bool>(&self, value: f32, choice: u32) -> (f32, u8) {
        let value = value + self.bias;
        if ACTIVE && value <= 0.0 {
            (value * self.slope, (choice | u32::from(NEGATIVE)) as u8)
        } else {
            (value, choice as u8)
        }
    }
}
