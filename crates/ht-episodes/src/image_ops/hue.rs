//! Turning the colours of a photograph, many side by side: every step is a loop without branches
//! over a block of pixels, so that the compiler makes vectors of it.

#![expect(
    clippy::inline_always,
    reason = "a vector instruction set reaches only what is inlined into its entry"
)]

use super::photo::{to_byte, to_unit, truncated};
use crate::vectorized;

/// Sixths of the colour circle: between two of them one of red, green and blue changes.
const SIXTHS: f32 = 6.0;
/// Pixels that are turned side by side.
const BLOCK: usize = 64;

/// Turns each pixel of three planes by `delta` of the colour circle.
pub(super) fn turn([red, green, blue]: [&mut [u8]; 3], delta: f32) {
    vectorized(
        #[inline(always)]
        || {
            let blocks = red.chunks_mut(BLOCK).zip(green.chunks_mut(BLOCK));
            for ((red, green), blue) in blocks.zip(blue.chunks_mut(BLOCK)) {
                turn_block([red, green, blue], delta);
            }
        },
    );
}

/// A colour's smallest and largest value stay; only the one between them and their places change.
#[inline(always)]
fn turn_block([red, green, blue]: [&mut [u8]; 3], delta: f32) {
    let mut positions = [0.0; BLOCK];
    let mut extremes = [(0.0, 0.0); BLOCK];
    let places = positions.iter_mut().zip(&mut extremes);
    for (((red, green), blue), (position, extremes)) in
        red.iter().zip(green.iter()).zip(blue.iter()).zip(places)
    {
        let colour = [*red, *green, *blue].map(to_unit);
        let (own, low, high) = place(colour);
        *position = own + delta * SIXTHS;
        *extremes = (low, high);
    }
    // A position lies between 0 and all around; each turn beyond brings it back once.
    let turns = delta.abs().ceil() as usize;
    for _ in 0..turns {
        for position in &mut positions {
            *position = pick(*position < 0.0, *position + SIXTHS, *position);
        }
    }
    for _ in 0..=turns {
        for position in &mut positions {
            *position = pick(*position >= SIXTHS, *position - SIXTHS, *position);
        }
    }
    let places = positions.iter().zip(&extremes);
    for (((red, green), blue), (&position, &(low, high))) in
        red.iter_mut().zip(green).zip(blue).zip(places)
    {
        [*red, *green, *blue] = colour(position, low, high).map(to_byte);
    }
}

#[inline(always)]
fn pick<T>(condition: bool, yes: T, no: T) -> T {
    if condition { yes } else { no }
}

/// Where a colour stands on the circle, in sixths (0 for grey), its smallest and largest value.
#[inline(always)]
fn place([red, green, blue]: [f32; 3]) -> (f32, f32, f32) {
    let low = red.min(green).min(blue);
    let high = red.max(green).max(blue);
    let middle = red.min(green).max(red.max(green).min(blue));
    let sixth = pick(
        red < green,
        pick(blue < red, 1, pick(blue > green, 3, 2)),
        pick(blue < green, 0, pick(blue > red, 4, 5)),
    );
    let position = sixth as f32 + along(sixth, (middle - low) / (high - low));
    (pick(high > low, position, 0.0), low, high)
}

/// The colour at a position from 0 to below [`SIXTHS`].
#[inline(always)]
fn colour(position: f32, low: f32, high: f32) -> [f32; 3] {
    let whole = position.floor();
    let sixth = u32::from(truncated(whole));
    let middle = low + along(sixth, position - whole) * (high - low);
    [
        pick(
            matches!(sixth, 0 | 5),
            high,
            pick(matches!(sixth, 2 | 3), low, middle),
        ),
        pick(
            matches!(sixth, 1 | 2),
            high,
            pick(matches!(sixth, 4 | 5), low, middle),
        ),
        pick(
            matches!(sixth, 3 | 4),
            high,
            pick(matches!(sixth, 0 | 1), low, middle),
        ),
    ]
}

/// In even sixths the middle value rises along the circle, in odd ones it falls.
#[inline(always)]
fn along(sixth: u32, ratio: f32) -> f32 {
    pick(sixth % 2 == 1, 1.0 - ratio, ratio)
}
