//! Rows as the inner loops want them: padded, and cut so that neighbours under the kernel are
//! neighbours in memory.
//!
//! A row is all its columns times all images of a chunk. Under a stride of s it is cut into s
//! phases, columns 0, s, 2s, … first; a kernel column is then a fixed shift.

use super::shape::{Chunk, LANES, LayerShape};

/// Floats behind a row that a whole tile may touch.
pub(super) const SLACK: usize = 64;

/// Several channels of rows in one buffer.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Channel `c` starts at `c * stride`.
    pub(super) values: &'a [f32],
    /// Floats from one channel to the next.
    pub(super) stride: usize,
    /// Number of channels.
    pub(super) channels: usize,
}

/// Some rows of the input images of a chunk, zeros around them.
pub(super) struct InputBand {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
    phase_len: usize,
    row_len: usize,
    images: usize,
}

impl InputBand {
    /// A band under `convolved_rows` rows of the output of the convolution.
    pub(super) fn new(shape: &LayerShape, convolved_rows: usize, images: usize) -> Self {
        let rows = (convolved_rows - 1) * shape.stride + shape.kernel;
        let columns = shape.convolved_width + (shape.kernel - 1) / shape.stride;
        let phase_len = columns * images + SLACK;
        let row_len = phase_len * shape.stride;
        Self {
            values: vec![0.0; row_len * rows * shape.inputs + SLACK],
            rows,
            columns,
            phase_len,
            row_len,
            images,
        }
    }

    /// Floats per image that a band of `convolved_rows` takes.
    pub(super) fn floats(shape: &LayerShape, convolved_rows: usize) -> usize {
        let rows = (convolved_rows - 1) * shape.stride + shape.kernel;
        shape.inputs * rows * (shape.convolved_width * shape.stride + shape.kernel)
    }

    /// The rows of one episode's images `x` under the convolution's row `convolved_row` and
    /// those that follow.
    #[inline(always)]
    pub(super) fn read(
        &mut self,
        shape: &LayerShape,
        x: &[f32],
        convolved_row: usize,
        chunk: Chunk,
    ) {
        let first = convolved_row * shape.stride;
        let line_len = shape.width * shape.images;
        for (c, band) in self
            .values
            .chunks_exact_mut(self.row_len * self.rows)
            .enumerate()
        {
            for (r, row) in band.chunks_exact_mut(self.row_len).enumerate() {
                let y = first + r;
                if y < shape.top || y - shape.top >= shape.height {
                    row.fill(0.0);
                    continue;
                }
                let line = &x[(c * shape.height + y - shape.top) * line_len..][..line_len];
                if shape.stride == 1 && chunk.len == shape.images {
                    let columns = shape.width.min(self.columns - shape.left);
                    let len = columns * chunk.len;
                    row[shape.left * chunk.len..][..len].copy_from_slice(&line[..len]);
                    continue;
                }
                for (column, images) in line.chunks_exact(shape.images).enumerate() {
                    let column = column + shape.left;
                    let at = column / shape.stride;
                    if at < self.columns {
                        let place = column % shape.stride * self.phase_len + at * chunk.len;
                        copy_images(&mut row[place..], &images[chunk.first..], chunk.len);
                    }
                }
            }
        }
    }

    /// All channels.
    pub(super) fn rows(&self, shape: &LayerShape) -> Rows<'_> {
        Rows {
            values: &self.values,
            stride: self.row_len * self.rows,
            channels: shape.inputs,
        }
    }

    /// Where each value of the kernel finds its pixels, for row `row` of the band's outputs.
    pub(super) fn taps(&self, shape: &LayerShape, row: usize) -> Vec<usize> {
        let (f, s) = (shape.kernel, shape.stride);
        (0..f * f)
            .map(|tap| {
                let (ky, kx) = (tap / f, tap % f);
                (row * s + ky) * self.row_len + kx % s * self.phase_len + kx / s * self.images
            })
            .collect()
    }
}

/// Copies `n` values in whole blocks as far as they go: cheaper than a call for so few.
#[inline(always)]
pub(super) fn copy_images(to: &mut [f32], from: &[f32], n: usize) {
    let (blocks, rest) = from[..n].as_chunks::<LANES>();
    let (to, last) = to[..n].as_chunks_mut::<LANES>();
    for (to, block) in to.iter_mut().zip(blocks) {
        *to = *block;
    }
    if !rest.is_empty() {
        last.copy_from_slice(rest);
    }
}
