//! Small changes of each training image on its own: no two showings of a drawing are alike.
//!
//! A class that is changed as a whole ([`EpisodeAugmentation`](crate::EpisodeAugmentation)) can
//! be told by the change alone; here support and query images of a class are changed apart,
//! so only what they share can help (docs/results.md has what it is worth).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::image_ops::{Picture, affine};
use crate::{EpisodeError, Orientation};

/// How far each image may be changed, in training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageJitter {
    /// Largest turn to either side, in degrees.
    #[serde(default)]
    pub turn: f32,
    /// Largest slant to either side: columns per row.
    #[serde(default)]
    pub slant: f32,
    /// Largest change of the size, as a part of it.
    #[serde(default)]
    pub size: f32,
    /// Largest shift in each direction, as a part of the side.
    #[serde(default)]
    pub shift: f32,
}

/// What was drawn for one image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrawnJitter {
    /// Turn in radians.
    pub turn: f32,
    /// Columns per row.
    pub slant: f32,
    /// Factors of height and width.
    pub size: [f32; 2],
    /// Parts of height and width.
    pub shift: [f32; 2],
}

impl ImageJitter {
    /// The draws of `n` images.
    pub fn draw(&self, n: usize, rng: &mut ChaCha8Rng) -> Vec<DrawnJitter> {
        let mut unit = |most: f32| rng.random_range(-1.0..1.0f32) * most;
        (0..n)
            .map(|_| DrawnJitter {
                turn: unit(self.turn).to_radians(),
                slant: unit(self.slant),
                size: [1.0 + unit(self.size), 1.0 + unit(self.size)],
                shift: [unit(self.shift), unit(self.shift)],
            })
            .collect()
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// A number out of range.
    pub fn check(&self) -> Result<(), EpisodeError> {
        for (key, value, most) in [
            ("turn", self.turn, 180.0),
            ("slant", self.slant, 1.0),
            ("size", self.size, 0.5),
            ("shift", self.shift, 0.5),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(EpisodeError::BadJitter { key, value, most });
            }
        }
        Ok(())
    }
}

impl DrawnJitter {
    /// The picture (0 to 255), brought into its orientation and changed then; zero where nothing
    /// was. One reading does both.
    #[must_use]
    pub fn apply(&self, picture: &Picture, orientation: Orientation) -> Picture {
        let (sin, cos) = self.turn.sin_cos();
        let ([height, width], slant) = (self.size, self.slant);
        // How far the place in the picture moves for a step down or right in the result.
        let down = [cos / height, (slant * cos - sin) / width];
        let right = [sin / height, (slant * sin + cos) / width];
        let [down, right] = [down, right].map(|step| orientation.source(step));
        affine::sample_affine(picture, down, right, self.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_ops::geometric;
    use crate::{ImageShape, random};

    const STILL: DrawnJitter = DrawnJitter {
        turn: 0.0,
        slant: 0.0,
        size: [1.0; 2],
        shift: [0.0; 2],
    };

    fn picture() -> Picture {
        let shape = ImageShape {
            channels: 2,
            height: 5,
            width: 5,
        };
        Picture::new(shape, (0..50u8).map(f32::from).collect())
    }

    fn near(ours: &Picture, expected: &Picture) {
        for (a, b) in ours.values().iter().zip(expected.values()) {
            assert!((a - b).abs() < 1e-3, "{a} against {b}");
        }
    }

    #[test]
    fn no_change_and_changes_that_are_known() {
        near(&STILL.apply(&picture(), Orientation::UPRIGHT), &picture());
        let turned = DrawnJitter {
            turn: std::f32::consts::FRAC_PI_2,
            ..STILL
        };
        near(
            &turned.apply(&picture(), Orientation::UPRIGHT),
            &geometric::quarter_turns(&picture(), 1),
        );
        // A shift by one of five rows: down, and zeros at the top.
        let shifted = DrawnJitter {
            shift: [0.2, 0.0],
            ..STILL
        };
        let down = shifted.apply(&picture(), Orientation::UPRIGHT);
        assert_eq!(down.values()[..5], [0.0; 5]);
        assert!((down.values()[5] - picture().values()[0]).abs() < 1e-3);
    }

    #[test]
    fn an_orientation_in_the_same_reading_is_one_before_it() {
        let drawn = DrawnJitter {
            turn: 0.2,
            slant: -0.1,
            size: [1.1, 0.9],
            shift: [0.1, -0.05],
        };
        let shape = picture().shape();
        for (mirrored, quarter_turns) in (0..8).map(|n| (n % 2 == 1, n / 2)) {
            let orientation = Orientation {
                mirrored,
                quarter_turns,
            };
            let standing = orientation.apply(picture().values(), shape).into_owned();
            let expected = drawn.apply(&Picture::new(shape, standing), Orientation::UPRIGHT);
            near(&drawn.apply(&picture(), orientation), &expected);
        }
    }

    #[test]
    fn draws_stay_in_their_range() {
        let jitter = ImageJitter {
            turn: 10.0,
            slant: 0.2,
            size: 0.1,
            shift: 0.05,
        };
        jitter.check().expect("valid");
        let mut rng = random::stream(1, "jitter", 0, 0);
        for drawn in jitter.draw(200, &mut rng) {
            assert!(drawn.turn.abs() <= 10f32.to_radians() && drawn.slant.abs() <= 0.2);
            assert!(
                drawn
                    .size
                    .iter()
                    .all(|size| (size - 1.0).abs() <= 0.1 + 1e-6)
            );
            assert!(drawn.shift.iter().all(|shift| shift.abs() <= 0.05));
            let values = drawn.apply(&picture(), Orientation::UPRIGHT).into_values();
            assert!(values.iter().all(|value| (0.0..=49.0).contains(value)));
        }
        let error = ImageJitter {
            size: 0.9,
            ..jitter
        };
        let error = error.check().expect_err("too large").to_string();
        assert_eq!(error, "episodes.jitter.size is 0.9, expected 0 to 0.5");
    }
}
