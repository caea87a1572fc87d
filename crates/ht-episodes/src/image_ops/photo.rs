//! Operations on photographs of bytes: flip, hue, brightness and contrast.
//!
//! Each one goes from bytes to floats and back in single precision, in TensorFlow's order of
//! operations: the bytes in between are rounded, so another order gives other pixels.

#![expect(
    clippy::inline_always,
    reason = "a vector instruction set reaches only what is inlined into its entry"
)]

use super::{Picture, hue};
use crate::{ImageShape, vectorized};

/// 2^23: the last bits of its sum with a whole number below it are that number.
const WHOLE: f32 = 8_388_608.0;

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
        let mut bytes = vec![0; picture.values().len()];
        vectorized(
            #[inline(always)]
            || {
                for (byte, value) in bytes.iter_mut().zip(picture.values()) {
                    *byte = truncated((value + 1.0) * 128.0);
                }
            },
        );
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
}

/// Puts `f` of each byte in its place.
#[inline(always)]
fn map_bytes(bytes: &mut [u8], f: impl Fn(f32) -> f32) {
    // Moved in: a byte that is written could otherwise be what `f` has captured.
    vectorized(
        #[inline(always)]
        move || {
            for byte in bytes.iter_mut() {
                *byte = to_byte(f(to_unit(*byte)));
            }
        },
    );
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
pub fn brightness(mut photo: Photo, delta: f32) -> Photo {
    map_bytes(
        &mut photo.bytes,
        #[inline(always)]
        |value| value + delta,
    );
    photo
}

/// Multiplies each channel's distance from its mean by `factor`.
#[must_use]
pub fn contrast(mut photo: Photo, factor: f32) -> Photo {
    let size = photo.shape.height * photo.shape.width;
    for plane in photo.bytes.chunks_exact_mut(size) {
        let mean = folded_sum(plane) * (1.0 / size as f32);
        map_bytes(
            plane,
            #[inline(always)]
            |value| mean + factor * (value - mean),
        );
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
    hue::turn([red, green, blue], delta);
    photo
}

/// The sum by folding the upper half onto the lower one until one value is left: the order
/// decides about the last bit, and that about a byte.
fn folded_sum(bytes: &[u8]) -> f32 {
    let mut values = vec![0.0; bytes.len()];
    vectorized(
        #[inline(always)]
        || {
            for (value, byte) in values.iter_mut().zip(bytes) {
                *value = to_unit(*byte);
            }
            let mut n_left = values.len();
            while n_left > 1 {
                let half = n_left.div_ceil(2);
                let (lower, upper) = values.split_at_mut(half);
                for (sum, value) in lower.iter_mut().zip(&upper[..n_left - half]) {
                    *sum += *value;
                }
                n_left = half;
            }
        },
    );
    values.first().copied().unwrap_or(0.0)
}

#[inline(always)]
pub(super) fn to_unit(byte: u8) -> f32 {
    // Not a division by 255: it differs in the last bit.
    f32::from(byte) * (1.0 / 255.0)
}

/// Rounded towards zero, and to 0 or 255 outside of them.
#[inline(always)]
pub(super) fn to_byte(value: f32) -> u8 {
    truncated(value * 255.5)
}

/// The same as `value as u8`, for which there is no vector instruction, of any number.
#[inline(always)]
pub(super) fn truncated(value: f32) -> u8 {
    (value.clamp(0.0, 255.0).floor() + WHOLE).to_bits() as u8
}
