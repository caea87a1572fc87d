//! Mirrors and quarter turns of images: how few-shot papers make more classes out of drawn characters.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::ImageShape;

/// How classes are rotated by multiples of 90 degrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassRotation {
    /// Images as they are.
    None,
    /// Each class of an episode is turned by a random angle, the same for its support and
    /// query images (the paper's released code, training only).
    PerEpisode,
    /// Each turned class is a class of its own, so that a split has four times as many
    /// (Vinyals et al., Matching Networks).
    AsClasses,
    /// The same, and the mirror image of each: eight times as many.
    AsClassesWithMirrors,
}

/// How all images of a class stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation {
    /// Whether they are mirrored first.
    pub mirrored: bool,
    /// Counter-clockwise quarter turns.
    pub quarter_turns: u8,
}

impl Orientation {
    /// As the image is stored.
    pub const UPRIGHT: Self = Self {
        mirrored: false,
        quarter_turns: 0,
    };

    /// The image as it stands.
    ///
    /// # Shapes
    /// - `image`: C · H · W bytes or floats, with H = W where it is turned; returns the same.
    pub fn apply<T: Copy>(self, image: &[T], shape: ImageShape) -> Cow<'_, [T]> {
        let mut standing = Cow::Borrowed(image);
        if self.mirrored {
            standing = Cow::Owned(mirror(&standing, shape));
        }
        if !self.quarter_turns.is_multiple_of(4) {
            standing = Cow::Owned(quarter_turn(&standing, shape, self.quarter_turns));
        }
        standing
    }

    /// Where in the image a pixel comes from that stands `down` and `right` of the centre.
    pub(crate) fn source(self, [mut down, mut right]: [f32; 2]) -> [f32; 2] {
        for _ in 0..self.quarter_turns % 4 {
            (down, right) = (right, -down);
        }
        [down, if self.mirrored { -right } else { right }]
    }
}

/// Turns a square image counter-clockwise by `turns` times 90 degrees.
///
/// # Shapes
/// - `image`: C · H · W bytes or floats with H = W, returns the same.
pub fn quarter_turn<T: Copy>(image: &[T], shape: ImageShape, turns: u8) -> Vec<T> {
    assert_eq!(
        shape.height, shape.width,
        "quarter turns need square images"
    );
    let side = shape.height;
    let mut turned = Vec::with_capacity(image.len());
    for plane in image.chunks_exact(side * side) {
        let column = |number: usize| plane[number..].iter().step_by(side);
        match turns % 4 {
            0 => turned.extend_from_slice(plane),
            1 => (0..side).rev().for_each(|n| turned.extend(column(n))),
            2 => turned.extend(plane.iter().rev()),
            _ => (0..side).for_each(|n| turned.extend(column(n).rev())),
        }
    }
    turned
}

/// Exchanges left and right.
///
/// # Shapes
/// - `image`: C · H · W bytes or floats, returns the same.
pub fn mirror<T: Copy>(image: &[T], shape: ImageShape) -> Vec<T> {
    let mut mirrored = Vec::with_capacity(image.len());
    for row in image.chunks_exact(shape.width) {
        mirrored.extend(row.iter().rev());
    }
    mirrored
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape {
        channels: 1,
        height: 2,
        width: 2,
    };

    #[test]
    fn turns_counter_clockwise() {
        // a b      b d
        // c d  ->  a c
        assert_eq!(quarter_turn(b"abcd", SHAPE, 1), b"bdac");
        assert_eq!(quarter_turn(b"abcd", SHAPE, 2), b"dcba");
        assert_eq!(quarter_turn(b"abcd", SHAPE, 3), b"cadb");
    }

    #[test]
    fn mirrors_left_and_right() {
        assert_eq!(mirror(b"abcd", SHAPE), b"badc");
    }

    #[test]
    fn four_turns_are_none() {
        let once = |image: &[u8]| quarter_turn(image, SHAPE, 1);
        assert_eq!(once(&once(&once(&once(b"abcd")))), b"abcd");
    }
}
