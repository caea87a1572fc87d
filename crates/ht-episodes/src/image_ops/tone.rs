//! Operations that change how dark, bright or sharp a picture is, each channel by itself.

use super::Picture;

/// Keeps the divisor of a picture of one value away from zero.
const EPSILON: f32 = 1e-7;

/// Pulls the values towards or away from their mean through a tanh, then spreads them over
/// 0 to 255.
///
/// The slope is 1.5 + `unit`, `unit` in -1..1: dark and bright saturate more with a larger one.
#[must_use]
pub fn contrast(picture: Picture, unit: f32) -> Picture {
    let slope = 1.5 + unit;
    picture.normalised().map_planes(|plane| {
        let mean = plane.iter().sum::<f32>() / plane.len() as f32;
        for value in &mut *plane {
            *value = ((*value - mean) * slope).tanh() / slope + mean;
        }
        spread(plane);
    })
}

/// The mean of the 3 × 3 pixels around each pixel (zeros around the picture), then spread
/// over 0 to 255.
#[must_use]
pub fn smooth(picture: Picture) -> Picture {
    let width = picture.shape().width;
    picture.map_planes(|plane| {
        let sharp = plane.to_vec();
        let height = sharp.len() / width;
        for row in 0..height {
            for column in 0..width {
                let mut sum = 0.0;
                for y in row.saturating_sub(1)..(row + 2).min(height) {
                    for x in column.saturating_sub(1)..(column + 2).min(width) {
                        sum += sharp[y * width + x];
                    }
                }
                plane[row * width + column] = sum / 9.0;
            }
        }
        spread(plane);
    })
}

/// 255 - x: what was dark is bright.
#[must_use]
pub fn negate(picture: Picture) -> Picture {
    picture.map(|value| 255.0 - value)
}

/// Moves the smallest value to 0 and the largest to 255.
fn spread(plane: &mut [f32]) {
    let least = plane.iter().copied().fold(f32::INFINITY, f32::min);
    let most = plane.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for value in plane {
        *value = (*value - least) / (most - least + EPSILON) * 255.0;
    }
}
