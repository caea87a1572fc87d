//! The output's gradient as it was before activation and pooling: each value at the pixel that
//! was chosen, zeros elsewhere and around.

use pulp::Simd;

use super::forward::NEGATIVE;
use super::rows::{InputBand, Rows, SLACK};
use super::shape::{Chunk, LANES, LayerShape};

/// Vectors of a band of rows, below which sums would be put down too often.
const BAND_VECTORS: usize = 96;

/// The gradients of one episode's images of a chunk.
pub(super) struct Spread {
    values: Vec<f32>,
    channels: usize,
    /// Rows kept at a time: all, or one band.
    rows: usize,
    /// Rows that are filled at a time.
    pub(super) band: usize,
    /// Zero rows above and zero columns at the left.
    pub(super) reach: usize,
    columns: usize,
    images: usize,
    whole: bool,
}

impl Spread {
    /// Room for all rows (`whole`), which the gradient of the images needs, or for a band of
    /// them.
    pub(super) fn new(shape: &LayerShape, whole: bool, lanes: usize) -> Self {
        let (s, all) = (shape.stride, shape.out_height() * shape.pooling);
        let vectors = (shape.convolved_width * shape.images)
            .div_ceil(lanes)
            .max(1);
        let band = BAND_VECTORS
            .div_ceil(vectors)
            .next_multiple_of(shape.pooling);
        let band = band.min(all);
        let reach = (shape.kernel - 1) / s;
        let around = |convolved: usize, side: usize, before: usize| {
            reach + convolved.max(side.div_ceil(s)) + before.div_ceil(s) + 1
        };
        Self {
            values: Vec::new(),
            channels: shape.outputs,
            rows: if whole {
                around(all, shape.height, shape.top)
            } else {
                band
            },
            band,
            reach,
            columns: around(shape.convolved_width, shape.width, shape.left),
            images: 0,
            whole,
        }
    }

    /// Floats per image of everything that a chunk touches.
    pub(super) fn floats(&self, shape: &LayerShape) -> usize {
        self.channels * self.rows * self.columns + InputBand::floats(shape, self.band)
    }

    /// Makes room for `images` images; zeros stay where they were for the last as many.
    pub(super) fn resize(&mut self, images: usize) {
        if self.images != images {
            self.images = images;
            self.values.clear();
            let len = self.channels * self.rows * self.line() + SLACK;
            self.values.resize(len, 0.0);
        }
    }

    /// Floats from one row to the next.
    pub(super) fn line(&self) -> usize {
        self.columns * self.images + SLACK
    }

    /// All channels.
    pub(super) fn rows(&self) -> Rows<'_> {
        Rows {
            values: &self.values,
            stride: self.rows * self.line(),
            channels: self.channels,
        }
    }

    /// Where row `row` of the convolution starts, behind the zeros.
    pub(super) fn start(&self, row: usize) -> usize {
        let row = if self.whole {
            self.reach + row
        } else {
            row % self.band
        };
        row * self.line() + self.reach * self.images
    }

    /// Fills the rows `range` of the convolution from the gradient of the result.
    #[inline(always)]
    pub(super) fn read<S: Simd>(
        &mut self,
        simd: S,
        shape: &LayerShape,
        gradient: &[f32],
        choices: &[u8],
        range: core::ops::Range<usize>,
        chunk: Chunk,
    ) {
        let (line, n) = (self.line(), chunk.len);
        let slope = shape.slope.unwrap_or(1.0);
        let stride = self.rows * line;
        for o in 0..shape.outputs {
            for row in range.clone().step_by(shape.pooling) {
                let start = o * stride + self.start(row);
                let place = shape.place(o, row / shape.pooling);
                let gradient = &gradient[place * shape.images + chunk.first..];
                let choices = &choices[place * shape.lanes() + chunk.first..];
                let values = &mut self.values[start..];
                let split = line.min(values.len());
                let (upper, lower) = values.split_at_mut(split);
                for column in 0..shape.out_width() {
                    let gradient = &gradient[column * shape.images..];
                    let (choices, _) = choices[column * shape.lanes()..].as_chunks::<LANES>();
                    let to = column * shape.pooling * n;
                    for (block, choices) in choices[..n.div_ceil(LANES)].iter().enumerate() {
                        let at = block * LANES;
                        let rest = LANES.min(n - at);
                        let gradient = block_at(gradient, at);
                        let vectors = S::as_simd_f32s(&gradient).0.iter();
                        let choices = choices.map(u32::from);
                        let vectors = vectors.zip(S::as_simd_u32s(&choices).0).enumerate();
                        if shape.pooling == 1 {
                            let mut active = [0.0; LANES];
                            let to_active = S::as_mut_simd_f32s(&mut active).0;
                            for (v, (&gradient, &choices)) in vectors {
                                to_active[v] = before_activation(simd, gradient, choices, slope);
                            }
                            store(simd, &mut upper[to + at..], &active, rest);
                            continue;
                        }
                        let mut cells = [[0.0; LANES]; 4];
                        for (v, (&gradient, &choices)) in vectors {
                            let active = before_activation(simd, gradient, choices, slope);
                            let chosen = simd.and_u32s(choices, simd.splat_u32s(3));
                            for (number, cell) in (0..).zip(&mut cells) {
                                let is_here = simd.equal_u32s(chosen, simd.splat_u32s(number));
                                let zero = simd.splat_f32s(0.0);
                                S::as_mut_simd_f32s(cell).0[v] =
                                    simd.select_f32s(is_here, active, zero);
                            }
                        }
                        store(simd, &mut upper[to + at..], &cells[0], rest);
                        store(simd, &mut upper[to + n + at..], &cells[1], rest);
                        store(simd, &mut lower[to + at..], &cells[2], rest);
                        store(simd, &mut lower[to + n + at..], &cells[3], rest);
                    }
                }
            }
        }
    }
}

/// The block of values from `at` on: behind the last value it does not matter what stands there.
#[inline(always)]
fn block_at(values: &[f32], at: usize) -> [f32; LANES] {
    let values = &values[at..];
    values.first_chunk().copied().unwrap_or_else(|| {
        let mut block = [0.0; LANES];
        block[..values.len()].copy_from_slice(values);
        block
    })
}

/// The gradient before the activation, from the one behind it.
#[inline(always)]
pub(super) fn before_activation<S: Simd>(
    simd: S,
    gradient: S::f32s,
    choices: S::u32s,
    slope: f32,
) -> S::f32s {
    let negative = simd.greater_than_or_equal_u32s(choices, simd.splat_u32s(NEGATIVE));
    let scaled = simd.mul_f32s(gradient, simd.splat_f32s(slope));
    simd.select_f32s(negative, scaled, gradient)
}

/// The first `n` values of a block.
#[inline(always)]
fn store<S: Simd>(simd: S, to: &mut [f32], values: &[f32; LANES], n: usize) {
    if n == LANES {
        *to.first_chunk_mut().expect("a whole block") = *values;
        return;
    }
    let blocks = to[..n].chunks_mut(S::F32_LANES);
    for (to, &values) in blocks.zip(S::as_simd_f32s(values).0) {
        simd.partial_store_f32s(to, values);
    }
}
