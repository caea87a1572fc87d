//! Operations on one image, as the released code computes them: pure functions from a
//! picture and its parameters to a picture, so that what an episode shows can be checked.

pub mod affine;
pub mod geometric;
mod hue;
pub mod photo;
pub mod tone;

use crate::ImageShape;

/// An image of floats.
///
/// Bright is large. The values run from 0 to 255, or from -1 to 1 (below 1) where a
/// function says *normalised*.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    shape: ImageShape,
    values: Vec<f32>,
}

impl Picture {
    /// A picture of C · H · W values, in C, H, W order.
    pub fn new(shape: ImageShape, values: Vec<f32>) -> Self {
        assert_eq!(shape.len(), values.len(), "one value per pixel and channel");
        Self { shape, values }
    }

    /// The picture of C · H · W bytes, 0 to 255.
    pub fn from_bytes(shape: ImageShape, bytes: &[u8]) -> Self {
        Self::new(shape, bytes.iter().copied().map(f32::from).collect())
    }

    /// Channels, height and width.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The C · H · W values.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The C · H · W values, without a copy.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// From 0..255 to -1..1: x / 128 - 1, as [`crate::normalize_pixel`] does for bytes.
    #[must_use]
    pub fn normalised(self) -> Self {
        self.map(|value| value / 128.0 - 1.0)
    }

    fn map(mut self, f: impl Fn(f32) -> f32) -> Self {
        for value in &mut self.values {
            *value = f(*value);
        }
        self
    }

    /// Changes each channel, H · W values, by itself.
    fn map_planes(mut self, f: impl Fn(&mut [f32])) -> Self {
        self.values
            .chunks_exact_mut(self.shape.height * self.shape.width)
            .for_each(f);
        self
    }
}

#[cfg(test)]
mod tests;
