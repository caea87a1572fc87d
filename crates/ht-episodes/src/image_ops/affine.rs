//! Reading a picture at the places that an affine map says, between its pixels by the bilinear rule.
//!
//! Every training image may be changed so, which must not hold up a step: the places of a row are
//! found in loops that compile to vectors, and a frame of zeros around each plane saves asking of every
//! pixel whether it is there.

use super::Picture;

/// Reads each pixel of the result at a place of the picture; outside it is zero.
///
/// The place moves by `rows` for a step down and by `columns` for a step to the right, each
/// (down, right), around the centre; `shift` is in parts of H and W.
#[must_use]
pub fn sample_affine(
    picture: &Picture,
    rows: [f32; 2],
    columns: [f32; 2],
    shift: [f32; 2],
) -> Picture {
    let shape = picture.shape();
    let sides = [shape.height as f32, shape.width as f32];
    let centre = sides.map(|side| (side - 1.0) / 2.0);
    let stride = shape.width + 2;
    let planes: Vec<Vec<f32>> = picture
        .values()
        .chunks_exact(shape.height * shape.width)
        .map(|plane| framed(plane, shape.width))
        .collect();
    let mut values = vec![0.0; shape.len()];
    let mut places = Places::new(shape.width);
    for row in 0..shape.height {
        let down = row as f32 - centre[0] - shift[0] * sides[0];
        let left = -centre[1] - shift[1] * sides[1];
        let first = [0, 1].map(|i| centre[i] + down * rows[i] + left * columns[i]);
        places.find(first, columns, sides, stride as u32);
        let results = values.chunks_exact_mut(shape.width).skip(row);
        for (plane, result) in planes.iter().zip(results.step_by(shape.height)) {
            places.read(plane, stride, result);
        }
    }
    Picture::new(shape, values)
}

/// The plane in a frame of zeros, one pixel wide.
fn framed(plane: &[f32], width: usize) -> Vec<f32> {
    let stride = width + 2;
    let mut framed = vec![0.0; plane.len() / width * stride + 2 * stride];
    let inside = framed.chunks_exact_mut(stride).skip(1);
    for (row, framed) in plane.chunks_exact(width).zip(inside) {
        framed[1..=width].copy_from_slice(row);
    }
    framed
}

/// Where the pixels of one row are read.
struct Places {
    /// 0, 1, 2, .. of the row's pixels.
    steps: Vec<f32>,
    /// Index in the framed plane of the pixel above and to the left.
    corners: Vec<u32>,
    /// How far below it, in [0, 1].
    below: Vec<f32>,
    /// How far to the right of it, in [0, 1].
    right: Vec<f32>,
}

impl Places {
    fn new(width: usize) -> Self {
        Self {
            steps: (0..width).map(|step| step as f32).collect(),
            corners: vec![0; width],
            below: vec![0.0; width],
            right: vec![0.0; width],
        }
    }

    /// Places from `first` on, `step` apart; on the frame or beyond it a pixel is zero.
    fn find(&mut self, first: [f32; 2], step: [f32; 2], sides: [f32; 2], stride: u32) {
        let rests = self.below.iter_mut().zip(&mut self.right);
        for ((steps, corner), (below, right)) in self.steps.iter().zip(&mut self.corners).zip(rests)
        {
            let top;
            let start;
            (top, *below) = split(first[0] + steps * step[0], sides[0]);
            (start, *right) = split(first[1] + steps * step[1], sides[1]);
            *corner = index(top) * stride + index(start);
        }
    }

    fn read(&self, plane: &[f32], stride: usize, result: &mut [f32]) {
        let rests = self.below.iter().zip(&self.right);
        for ((value, &corner), (below, right)) in result.iter_mut().zip(&self.corners).zip(rests) {
            let around = &plane[corner as usize..][..stride + 2];
            let upper = around[0] + (around[1] - around[0]) * right;
            let lower = around[stride] + (around[stride + 1] - around[stride]) * right;
            *value = upper + (lower - upper) * below;
        }
    }
}

/// 1.5 · 2^23: a float of this size has no room for parts of one.
const NO_PARTS: f32 = 12_582_912.0;

/// The pixel at or before a place, from -1 on, and the rest of the way to the next one.
fn split(at: f32, side: f32) -> (f32, f32) {
    let at = at.max(-1.0).min(side);
    // The library's rounding is a call for each pixel where the processor may be an old one.
    let nearest = (at + NO_PARTS) - NO_PARTS;
    let before = if nearest > at { nearest - 1.0 } else { nearest };
    let before = before.min(side - 1.0);
    (before, at - before)
}

/// The index of a pixel in the frame: of -1 it is 0.
///
/// The lower bits of 2^23 + i are those of i; a conversion would ask whether it fits.
fn index(pixel: f32) -> u32 {
    (pixel + 8_388_609.0).to_bits() & 0x007f_ffff
}
