//! Operations that move pixels: turns, rolls, sizes and crops, the same for every channel.

use super::Picture;
use serde::{Deserialize, Serialize};

use crate::{ImageShape, quarter_turn};

/// Turns a square picture counter-clockwise by `turns` times 90 degrees.
#[must_use]
pub fn quarter_turns(picture: &Picture, turns: u8) -> Picture {
    let shape = picture.shape();
    Picture::new(shape, quarter_turn(picture.values(), shape, turns))
}

/// Rotates about the centre, nearest pixel, zero where nothing was.
///
/// `angle` is in radians; a positive one turns counter-clockwise as seen on the screen.
#[must_use]
pub fn rotate(picture: &Picture, angle: f32) -> Picture {
    let ImageShape { height, width, .. } = picture.shape();
    let (sin, cos) = angle.sin_cos();
    let (last_row, last_column) = ((height as f32) - 1.0, (width as f32) - 1.0);
    let x_offset = (last_column - (cos * last_column - sin * last_row)) / 2.0;
    let y_offset = (last_row - (sin * last_column + cos * last_row)) / 2.0;
    gather(picture, |row, column| {
        let (row, column) = (row as f32, column as f32);
        let x = (cos * column - sin * row + x_offset).round();
        let y = (sin * column + cos * row + y_offset).round();
        let is_inside = x >= 0.0 && y >= 0.0 && x <= last_column && y <= last_row;
        is_inside.then_some((y as usize, x as usize))
    })
}

/// Shifts down by `rows` · H and right by `columns` · W pixels, rounded towards zero; what
/// leaves at one side comes in at the other.
#[must_use]
pub fn roll(picture: &Picture, rows: f32, columns: f32) -> Picture {
    let ImageShape { height, width, .. } = picture.shape();
    let source = |index: usize, shift: f32, size: usize| {
        let shift = (shift * size as f32) as i64;
        (index as i64 - shift).rem_euclid(size as i64) as usize
    };
    gather(picture, |row, column| {
        Some((source(row, rows, height), source(column, columns, width)))
    })
}

/// Shrinks the content by the factor 0.85 + 0.15 · `unit` and keeps the picture's size:
/// zeros around it, or the centre cut out where the factor is above 1.
///
/// `unit` is in -1..1.
#[must_use]
pub fn resize_content(picture: &Picture, unit: f32) -> Picture {
    let ImageShape { height, width, .. } = picture.shape();
    let factor = 0.85 + 0.15 * unit;
    let scaled = |size: usize| ((size as f32 * factor) as usize).max(1);
    let content = resize(picture, scaled(height), scaled(width));
    centred(&content, height, width)
}

/// Resizes to height × width pixels by the older of TensorFlow's bilinear rules: output
/// pixel i reads at i · (input size / output size), corner to corner, not centre to centre.
#[must_use]
pub fn resize(picture: &Picture, height: usize, width: usize) -> Picture {
    let shape = picture.shape();
    let taps = |from: usize, to: usize| {
        let scale = from as f32 / to as f32;
        (0..to)
            .map(|index| Some(Tap::at(index as f32 * scale, from)))
            .collect::<Vec<_>>()
    };
    interpolate(
        picture,
        &taps(shape.height, height),
        &taps(shape.width, width),
    )
}

/// A part of a picture, in relative coordinates: 0 is the centre of the first pixel, 1 of
/// the last one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CropBox {
    /// First row.
    pub top: f32,
    /// First column.
    pub left: f32,
    /// Last row.
    pub bottom: f32,
    /// Last column.
    pub right: f32,
}

/// The part `part` of a picture, bilinear, as height × width pixels; zero outside of it.
#[must_use]
pub fn crop_and_resize(picture: &Picture, part: CropBox, height: usize, width: usize) -> Picture {
    let shape = picture.shape();
    let taps = |start: f32, end: f32, from: usize, to: usize| {
        let last = (from as f32) - 1.0;
        let position = |index: usize| {
            if to > 1 {
                let step = (end - start) * last / (to as f32 - 1.0);
                start * last + index as f32 * step
            } else {
                0.5 * (start + end) * last
            }
        };
        (0..to)
            .map(position)
            .map(|at| (0.0..=last).contains(&at).then(|| Tap::at(at, from)))
            .collect::<Vec<_>>()
    };
    interpolate(
        picture,
        &taps(part.top, part.bottom, shape.height, height),
        &taps(part.left, part.right, shape.width, width),
    )
}

/// Where one output row or column reads: between two neighbours.
#[derive(Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    weight: f32,
}

impl Tap {
    fn at(position: f32, size: usize) -> Self {
        let low = (position.floor() as usize).min(size - 1);
        Self {
            low,
            high: (low + 1).min(size - 1),
            weight: position - low as f32,
        }
    }
}

/// Bilinear mixture at each pair of taps; zero where a tap lies outside of the picture.
fn interpolate(picture: &Picture, rows: &[Option<Tap>], columns: &[Option<Tap>]) -> Picture {
    let shape = picture.shape();
    let (width, n_columns) = (shape.width, columns.len());
    let planes = picture.values().chunks_exact(shape.height * width);
    let mut values = vec![0.0; shape.channels * rows.len() * n_columns];
    // Nothing to mix for a picture without rows or columns.
    let n_values = (rows.len() * n_columns).max(1);
    let mut mixed = [MixedRow::new(n_columns), MixedRow::new(n_columns)];
    for (plane, out) in planes.zip(values.chunks_exact_mut(n_values)) {
        for row in &mut mixed {
            row.source = None;
        }
        let placed = rows.iter().zip(out.chunks_exact_mut(n_columns.max(1)));
        for (row, out) in placed.filter_map(|(row, out)| Some((row.as_ref()?, out))) {
            // Often the next output row reads what the last one did, or its lower row.
            if mixed[1].source == Some(row.low) {
                mixed.swap(0, 1);
            }
            for (mixed, source) in mixed.iter_mut().zip([row.low, row.high]) {
                mixed.read(source, &plane[source * width..][..width], columns);
            }
            let [top, bottom] = &mixed;
            let pairs = top.values.iter().zip(&bottom.values);
            for (value, (top, bottom)) in out.iter_mut().zip(pairs) {
                *value = top + (bottom - top) * row.weight;
            }
        }
    }
    let shape = ImageShape {
        height: rows.len(),
        width: n_columns,
        ..shape
    };
    Picture::new(shape, values)
}

/// One row of a plane, mixed at the columns' taps.
struct MixedRow {
    source: Option<usize>,
    values: Vec<f32>,
}

impl MixedRow {
    fn new(n_columns: usize) -> Self {
        Self {
            source: None,
            values: vec![0.0; n_columns],
        }
    }

    /// Mixes row `source` of a plane, unless it stands here already.
    fn read(&mut self, source: usize, row: &[f32], columns: &[Option<Tap>]) {
        if self.source.replace(source) == Some(source) {
            return;
        }
        for (value, column) in self.values.iter_mut().zip(columns) {
            *value = column.map_or(0.0, |column| {
                let (left, right) = (row[column.low], row[column.high]);
                left + (right - left) * column.weight
            });
        }
    }
}

/// The picture in the middle of height × width pixels: cut where larger, zeros where smaller.
fn centred(picture: &Picture, height: usize, width: usize) -> Picture {
    let from = picture.shape();
    let source = |index: usize, from: usize, to: usize| {
        let inside = if from > to {
            index + (from - to) / 2
        } else {
            index.checked_sub((to - from) / 2)?
        };
        (inside < from).then_some(inside)
    };
    let shape = ImageShape {
        height,
        width,
        ..from
    };
    gather_into(picture, shape, |row, column| {
        Some((
            source(row, from.height, height)?,
            source(column, from.width, width)?,
        ))
    })
}

/// Each output pixel is one input pixel, or zero.
fn gather(picture: &Picture, source: impl Fn(usize, usize) -> Option<(usize, usize)>) -> Picture {
    gather_into(picture, picture.shape(), source)
}

fn gather_into(
    picture: &Picture,
    shape: ImageShape,
    source: impl Fn(usize, usize) -> Option<(usize, usize)>,
) -> Picture {
    let from = picture.shape();
    let mut values = Vec::with_capacity(shape.len());
    for plane in picture.values().chunks_exact(from.height * from.width) {
        for row in 0..shape.height {
            for column in 0..shape.width {
                let pixel = source(row, column);
                values.push(pixel.map_or(0.0, |(y, x)| plane[y * from.width + x]));
            }
        }
    }
    Picture::new(shape, values)
}
