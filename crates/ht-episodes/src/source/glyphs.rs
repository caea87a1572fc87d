//! Built-in data: stroke glyphs drawn by code, so that everything runs without a download.
//!
//! A class is a small random program of strokes; a sample is the same program drawn by
//! another hand: moved control points, slant, scale, turn, shift and pen width. The hand
//! is about as unsteady as makes the set as hard for a pixel nearest neighbour as Omniglot
//! is (docs/datasets.md has the measured figures).

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::decode::check_fitted;
use crate::{EpisodeError, ImageClass, ImageSet, ImageShape, random};

/// Sizes of the built-in set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlyphsConfig {
    /// Classes to draw.
    pub classes: usize,
    /// Images per class.
    pub samples: usize,
    /// Side of the square images, in pixels.
    pub image_size: usize,
    /// Seed of classes and hands.
    pub seed: u64,
}

/// Control points of one stroke, a quadratic Bezier curve in the unit square.
type Stroke = [[f32; 2]; 3];

/// Line pieces that approximate one stroke.
const PIECES: usize = 8;

/// Draws all images of a built-in set.
pub(super) fn draw_set(config: &GlyphsConfig) -> Result<ImageSet, EpisodeError> {
    let GlyphsConfig {
        classes,
        samples,
        image_size,
        seed,
    } = *config;
    super::check_image_size(image_size)?;
    for (key, value) in [("data.classes", classes), ("data.samples", samples)] {
        if !(1..=100_000).contains(&value) {
            return Err(EpisodeError::BadNumber {
                key,
                value,
                expected: "1 to 100000",
            });
        }
    }
    let shape = ImageShape {
        channels: 1,
        height: image_size,
        width: image_size,
    };
    // Each of the numbers may be large, but not all at once.
    if check_fitted(classes.saturating_mul(samples), shape).is_err() {
        return Err(EpisodeError::BadNumber {
            key: "data.classes",
            value: classes,
            expected: "at most 32 GiB of images: lower data.classes, data.samples or \
                       data.image_size",
        });
    }
    let classes = (0..classes)
        .map(|class| {
            let mut rng = random::stream(seed, "glyph", class as u64, 0);
            let glyph = draw_program(&mut rng);
            let pixels = (1..=samples as u64)
                .flat_map(|sample| {
                    let mut hand = random::stream(seed, "glyph", class as u64, sample);
                    rasterize(&write_by_hand(&glyph, &mut hand), image_size, &mut hand)
                })
                .collect();
            ImageClass {
                name: format!("glyph{class:05}"),
                pixels,
                official: None,
            }
        })
        .collect();
    ImageSet::new(shape, classes)
}

/// The program of a class: three to five strokes, often joined to an earlier one.
fn draw_program(rng: &mut impl Rng) -> Vec<Stroke> {
    let n_strokes = rng.random_range(3..=5);
    let mut ends: Vec<[f32; 2]> = Vec::new();
    let mut strokes = Vec::with_capacity(n_strokes);
    for _ in 0..n_strokes {
        let start = if !ends.is_empty() && rng.random_bool(0.6) {
            ends[rng.random_range(0..ends.len())]
        } else {
            point(rng)
        };
        let end = loop {
            let candidate = point(rng);
            if distance(start, candidate) > 0.3 {
                break candidate;
            }
        };
        let bend = if rng.random_bool(0.5) { 0.9 } else { 0.15 };
        let middle = std::array::from_fn(|axis| {
            let other = 1 - axis;
            let side = if axis == 0 { 1.0 } else { -1.0 };
            0.5 * (start[axis] + end[axis]) + side * bend * 0.5 * (end[other] - start[other])
        });
        ends.extend([start, end]);
        strokes.push([start, middle, end]);
    }
    strokes
}

fn point(rng: &mut impl Rng) -> [f32; 2] {
    [rng.random_range(0.1..0.9), rng.random_range(0.1..0.9)]
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// One hand's version of a program: jitter of the control points, then an affine map.
fn write_by_hand(glyph: &[Stroke], hand: &mut impl Rng) -> Vec<Stroke> {
    const JITTER: f32 = 0.02;
    let slant = hand.random_range(-0.2..0.2f32);
    let turn = hand.random_range(-0.12..0.12f32);
    let scale = [
        hand.random_range(0.75..1.1f32),
        hand.random_range(0.75..1.1f32),
    ];
    let shift = [
        hand.random_range(-0.12..0.12f32),
        hand.random_range(-0.12..0.12f32),
    ];
    let (sin, cos) = turn.sin_cos();
    glyph
        .iter()
        .map(|stroke| {
            stroke.map(|point| {
                let x = scale[0] * (point[0] - 0.5 + hand.random_range(-JITTER..JITTER));
                let y = scale[1] * (point[1] - 0.5 + hand.random_range(-JITTER..JITTER));
                let x = x + slant * y;
                [
                    0.5 + shift[0] + cos * x - sin * y,
                    0.5 + shift[1] + sin * x + cos * y,
                ]
            })
        })
        .collect()
}

/// Draws strokes with a round pen of random width; ink is 255, ground 0.
fn rasterize(strokes: &[Stroke], image_size: usize, hand: &mut impl Rng) -> Vec<u8> {
    let side = image_size as f32;
    let radius = side / 28.0 * hand.random_range(0.5..1.05f32);
    let mut ink = vec![0f32; image_size * image_size];
    for stroke in strokes {
        for piece in 0..PIECES {
            let [from, to] = [piece, piece + 1].map(|step| {
                let [x, y] = on_curve(stroke, step as f32 / PIECES as f32);
                [x * side, y * side]
            });
            darken(&mut ink, image_size, from, to, radius);
        }
    }
    ink.into_iter().map(|value| (value * 255.0) as u8).collect()
}

fn on_curve(stroke: &Stroke, t: f32) -> [f32; 2] {
    let [start, middle, end] = stroke;
    std::array::from_fn(|axis| {
        (1.0 - t) * (1.0 - t) * start[axis] + 2.0 * t * (1.0 - t) * middle[axis] + t * t * end[axis]
    })
}

/// Adds a line piece: full ink within the radius, fading over one pixel.
fn darken(ink: &mut [f32], image_size: usize, from: [f32; 2], to: [f32; 2], radius: f32) {
    let reach = radius + 1.0;
    let range = |axis: usize| {
        let low = (from[axis].min(to[axis]) - reach).max(0.0) as usize;
        let high = (from[axis].max(to[axis]) + reach + 1.0).max(0.0) as usize;
        low.min(image_size)..high.min(image_size)
    };
    let direction = [to[0] - from[0], to[1] - from[1]];
    let length_squared = (direction[0].powi(2) + direction[1].powi(2)).max(1e-9);
    for row in range(1) {
        for column in range(0) {
            let pixel = [column as f32 + 0.5, row as f32 + 0.5];
            let along = ((pixel[0] - from[0]) * direction[0] + (pixel[1] - from[1]) * direction[1])
                / length_squared;
            let along = along.clamp(0.0, 1.0);
            let nearest = [
                from[0] + along * direction[0],
                from[1] + along * direction[1],
            ];
            let value = (radius + 0.5 - distance(pixel, nearest)).clamp(0.0, 1.0);
            let cell = &mut ink[row * image_size + column];
            *cell = cell.max(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(classes: usize, seed: u64) -> GlyphsConfig {
        GlyphsConfig {
            classes,
            samples: 4,
            image_size: 28,
            seed,
        }
    }

    #[test]
    fn a_set_is_a_function_of_its_seed_and_grows_without_changing() {
        let few = draw_set(&config(3, 1)).expect("valid sizes");
        let more = draw_set(&config(5, 1)).expect("valid sizes");
        for class in 0..3 {
            for image in 0..4 {
                assert_eq!(few.image(class, image), more.image(class, image));
            }
        }
        assert_ne!(
            few.image(0, 0),
            draw_set(&config(3, 2)).expect("valid").image(0, 0)
        );
    }

    #[test]
    fn sizes_that_fill_the_memory_together_are_refused_before_drawing() {
        let large = GlyphsConfig {
            classes: 100_000,
            samples: 100_000,
            image_size: 1024,
            seed: 1,
        };
        let error = draw_set(&large).expect_err("petabytes").to_string();
        assert!(
            error.contains("data.classes is 100000") && error.contains("32 GiB"),
            "{error}"
        );
    }

    #[test]
    fn every_image_has_ink_and_every_hand_differs() {
        let set = draw_set(&config(50, 7)).expect("valid sizes");
        for class in 0..50 {
            for image in 0..4 {
                let ink = set.image(class, image).iter().filter(|&&b| b > 127).count();
                assert!((15..500).contains(&ink), "class {class}: {ink} ink pixels");
            }
            assert_ne!(set.image(class, 0), set.image(class, 1));
        }
    }
}
