//! Operations on photographs of bytes: flip, hue, brightness and contrast.
//!
//! Each one goes from bytes to floats and back in single precision, in TensorFlow's order of
//! operations: the bytes in between are rounded, so another order gives other pixels.

use super::Picture;
use crate::ImageShape;

/// Sixths of the colour circle: between two of them one of red, green and blue changes.
const SIXTHS: f32 = 6.0;

/// An image of bytes, 0 to 255.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    shape: ImageShape,
    bytes: Vec<u8>,
}

impl Photo {
    /// A photograph of C · H · W bytes, in C, H, W order.
    pub fn new(shape: ImageShape, bytes: Vec<u8>) -> Self {
        assert_eq!(shape.len(), bytes.len(), "one byte per pixel and channel");
        Self { shape, bytes }
    }

    /// The bytes of a normalised picture: (x + 1) · 128, rounded towards zero.
    pub fn from_normalised(picture: &Picture) -> Self {
        let bytes = picture.values().iter();
        let bytes = bytes.map(|value| ((value + 1.0) * 128.0) as u8).collect();
        Self::new(picture.shape(), bytes)
    }

    /// The normalised picture: x / 128 - 1.
    pub fn normalised(&self) -> Picture {
        Picture::from_bytes(self.shape, &self.bytes).normalised()
    }

    /// The C · H · W bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn map(mut self, f: impl Fn(f32) -> f32) -> Self {
        map_bytes(&mut self.bytes, f);
        self
    }
}

/// What `f` makes of each byte, worked out once for each of the 256.
fn map_bytes(bytes: &mut [u8], f: impl Fn(f32) -> f32) {
    let mut table = [0; 256];
    for (entry, byte) in table.iter_mut().zip(0..=u8::MAX) {
        *entry = to_byte(f(to_unit(byte)));
    }
    for byte in bytes {
        *byte = table[usize::from(*byte)];
    }
}

/// Swaps left and right.
#[must_use]
pub fn flip(mut photo: Photo) -> Photo {
    let width = photo.shape.width;
    photo
        .bytes
        .chunks_exact_mut(width)
        .for_each(<[u8]>::reverse);
    photo
}

/// Adds `delta` to every value; 1 is full scale.
#[must_use]
pub fn brightness(photo: Photo, delta: f32) -> Photo {
    photo.map(|value| value + delta)
}

/// Multiplies each channel's distance from its mean by `factor`.
#[must_use]
pub fn contrast(mut photo: Photo, factor: f32) -> Photo {
    let size = photo.shape.height * photo.shape.width;
    for plane in photo.bytes.chunks_exact_mut(size) {
        let values = plane.iter().copied().map(to_unit).collect();
        let mean = folded_sum(values) * (1.0 / size as f32);
        map_bytes(plane, |value| mean + factor * (value - mean));
    }
    photo
}

/// Turns the colours by `delta` of the colour circle (1 is all around); grey stays grey, and
/// a photograph without three channels stays as it is.
#[must_use]
pub fn hue(mut photo: Photo, delta: f32) -> Photo {
    if photo.shape.channels != 3 {
        return photo;
    }
    let size = photo.shape.height * photo.shape.width;
    let (red, others) = photo.bytes.split_at_mut(size);
    let (green, blue) = others.split_at_mut(size);
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let turned = turned_colour([*red, *green, *blue].map(to_unit), delta);
        [*red, *green, *blue] = turned.map(to_byte);
    }
    photo
}

/// One colour with another hue. Its smallest and largest value stay; only the one between
/// them and their places change.
fn turned_colour([red, green, blue]: [f32; 3], delta: f32) -> [f32; 3] {
    let (sixth, [low, middle, high]) = if red < green {
        if blue < red {
            (1, [blue, red, green])
        } else if blue > green {
            (3, [red, green, blue])
        } else {
            (2, [red, blue, green])
        }
    } else if blue < green {
        (0, [blue, green, red])
    } else if blue > red {
        (4, [green, red, blue])
    } else {
        (5, [green, blue, red])
    };
    // In even sixths the middle value rises along the circle, in odd ones it falls.
    let along = |sixth: i32, ratio: f32| if sixth % 2 == 0 { ratio } else { 1.0 - ratio };
    let mut position = if high > low {
        sixth as f32 + along(sixth, (middle - low) / (high - low))
    } else {
        0.0
    };
    position += delta * SIXTHS;
    while position < 0.0 {
        position += SIXTHS;
    }
    while position >= SIXTHS {
        position -= SIXTHS;
    }
    let sixth = position as i32;
    let middle = low + along(sixth, position - sixth as f32) * (high - low);
    match sixth {
        0 => [high, middle, low],
        1 => [middle, high, low],
        2 => [low, high, middle],
        3 => [low, middle, high],
        4 => [middle, low, high],
        _ => [high, low, middle],
    }
}

/// The sum by folding the upper half onto the lower one until one value is left: the order
/// decides about the last bit, and that about a byte.
fn folded_sum(mut values: Vec<f32>) -> f32 {
    while values.len() > 1 {
        let half = values.len().div_ceil(2);
        let (lower, upper) = values.split_at_mut(half);
        for (sum, value) in lower.iter_mut().zip(upper) {
            *sum += *value;
        }
        values.truncate(half);
    }
    values.first().copied().unwrap_or(0.0)
}

fn to_unit(byte: u8) -> f32 {
    // Not a division by 255: it differs in the last bit.
    f32::from(byte) * (1.0 / 255.0)
}

/// Rounded towards zero, and to 0 or 255 outside of them.
fn to_byte(value: f32) -> u8 {
    (value * 255.5) as u8
}
