//! Random changes of a whole class or episode, so that the generator cannot rely on how a
//! class usually looks (paper, appendix B; the parameters are the released code's).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::EpisodeError;
use crate::image_ops::{Picture, geometric, tone};

/// Rolls are at most this part of the height or width.
const MAX_ROLL: f32 = 0.3;

/// Which operations are drawn, and how often; all of them off by default.
///
/// Drawn once per episode, for support and query alike, or once per class of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EpisodeAugmentation {
    /// Whether each class of an episode has a draw of its own.
    pub per_class: bool,
    /// Probability of a rotation.
    pub rotation_probability: f64,
    /// Rotations are by an angle between minus and plus this, in degrees.
    pub angle_range: f32,
    /// Probability of a roll, by up to 0.3 of the size in each direction.
    pub roll_probability: f64,
    /// Probability of shrinking, by a factor between 0.7 and 1.
    pub resize_probability: f64,
    /// Probability of another contrast.
    pub contrast_probability: f64,
    /// Probability of smoothing.
    pub smooth_probability: f64,
    /// Probability of the negative.
    pub negate_probability: f64,
}

/// What was drawn for one class: `None` and `false` leave the images as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrawnAugmentation {
    /// Angle in radians, counter-clockwise ([`geometric::rotate`]).
    pub rotation: Option<f32>,
    /// Parts of height and width ([`geometric::roll`]).
    pub roll: Option<[f32; 2]>,
    /// In -1..1 ([`geometric::resize_content`]).
    pub resize: Option<f32>,
    /// In -1..1 ([`tone::contrast`]).
    pub contrast: Option<f32>,
    /// Whether to smooth ([`tone::smooth`]).
    pub smooth: bool,
    /// Whether to show the negative ([`tone::negate`]).
    pub negate: bool,
}

impl EpisodeAugmentation {
    /// One draw.
    ///
    /// It takes the same numbers from `rng` whatever the probabilities are, so switching an
    /// operation on or off does not shift what the others draw.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> DrawnAugmentation {
        let unit = |rng: &mut ChaCha8Rng| rng.random_range(-1.0..1.0f32);
        let coin = |rng: &mut ChaCha8Rng, probability: f64| rng.random::<f64>() < probability;
        let rotation = (unit(rng) * self.angle_range).to_radians();
        let roll = [unit(rng) * MAX_ROLL, unit(rng) * MAX_ROLL];
        let (resize, contrast) = (unit(rng), unit(rng));
        DrawnAugmentation {
            rotation: coin(rng, self.rotation_probability).then_some(rotation),
            roll: coin(rng, self.roll_probability).then_some(roll),
            resize: coin(rng, self.resize_probability).then_some(resize),
            contrast: coin(rng, self.contrast_probability).then_some(contrast),
            smooth: coin(rng, self.smooth_probability),
            negate: coin(rng, self.negate_probability),
        }
    }

    /// The draws of an episode, one per class; all the same unless
    /// [`per_class`](Self::per_class).
    pub fn draw_episode(&self, ways: usize, rng: &mut ChaCha8Rng) -> Vec<DrawnAugmentation> {
        if self.per_class {
            (0..ways).map(|_| self.draw(rng)).collect()
        } else {
            vec![self.draw(rng); ways]
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// A probability outside of 0 to 1, an angle that is negative or no number.
    pub fn check(&self) -> Result<(), EpisodeError> {
        let probabilities = [
            ("rotation_probability", self.rotation_probability),
            ("roll_probability", self.roll_probability),
            ("resize_probability", self.resize_probability),
            ("contrast_probability", self.contrast_probability),
            ("smooth_probability", self.smooth_probability),
            ("negate_probability", self.negate_probability),
        ];
        for (key, value) in probabilities {
            if !(0.0..=1.0).contains(&value) {
                return Err(EpisodeError::BadAugmentation(format!(
                    "{key} is {value}, expected 0 to 1"
                )));
            }
        }
        if !(0.0..=180.0).contains(&self.angle_range) {
            return Err(EpisodeError::BadAugmentation(format!(
                "angle_range is {}, expected 0 to 180 degrees",
                self.angle_range
            )));
        }
        Ok(())
    }
}

impl DrawnAugmentation {
    /// The picture (0 to 255) after all drawn operations, in the released code's order.
    #[must_use]
    pub fn apply(&self, mut picture: Picture) -> Picture {
        if let Some(angle) = self.rotation {
            picture = geometric::rotate(&picture, angle);
        }
        if let Some([rows, columns]) = self.roll {
            picture = geometric::roll(&picture, rows, columns);
        }
        if let Some(unit) = self.resize {
            picture = geometric::resize_content(&picture, unit);
        }
        if let Some(unit) = self.contrast {
            picture = tone::contrast(picture, unit);
        }
        if self.smooth {
            picture = tone::smooth(picture);
        }
        if self.negate {
            picture = tone::negate(picture);
        }
        picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageShape, random};

    fn everything(per_class: bool) -> EpisodeAugmentation {
        EpisodeAugmentation {
            per_class,
            rotation_probability: 1.0,
            angle_range: 30.0,
            roll_probability: 1.0,
            resize_probability: 1.0,
            contrast_probability: 1.0,
            smooth_probability: 1.0,
            negate_probability: 1.0,
        }
    }

    fn rng(index: u64) -> ChaCha8Rng {
        random::stream(1, "augmentation", 0, index)
    }

    #[test]
    fn nothing_is_drawn_by_default() {
        let drawn = EpisodeAugmentation::default().draw(&mut rng(0));
        assert_eq!(drawn, DrawnAugmentation::default());
        let shape = ImageShape {
            channels: 1,
            height: 2,
            width: 2,
        };
        let picture = Picture::from_bytes(shape, &[0, 3, 128, 255]);
        assert_eq!(drawn.apply(picture.clone()), picture);
    }

    #[test]
    fn draws_are_in_their_ranges() {
        for index in 0..200 {
            let drawn = everything(false).draw(&mut rng(index));
            let angle = drawn.rotation.expect("probability 1");
            assert!(angle.abs() <= 30f32.to_radians());
            for part in drawn.roll.expect("probability 1") {
                assert!(part.abs() <= MAX_ROLL);
            }
            assert!(drawn.resize.expect("probability 1").abs() <= 1.0);
            assert!(drawn.contrast.expect("probability 1").abs() <= 1.0);
            assert!(drawn.smooth && drawn.negate);
        }
    }

    #[test]
    fn an_operation_that_is_off_does_not_shift_the_others() {
        let all = everything(false).draw(&mut rng(3));
        let without = EpisodeAugmentation {
            roll_probability: 0.0,
            ..everything(false)
        };
        let expected = DrawnAugmentation { roll: None, ..all };
        assert_eq!(without.draw(&mut rng(3)), expected);
    }

    #[test]
    fn classes_share_a_draw_or_have_their_own() {
        let shared = everything(false).draw_episode(3, &mut rng(0));
        assert!(shared.len() == 3 && shared[0] == shared[1] && shared[1] == shared[2]);
        let own = everything(true).draw_episode(3, &mut rng(0));
        assert!(own.len() == 3 && own[0] != own[1] && own[1] != own[2]);
    }

    #[test]
    fn impossible_numbers_are_named() {
        assert!(everything(true).check().is_ok());
        let mut augmentation = everything(true);
        augmentation.negate_probability = 1.5;
        let error = augmentation.check().expect_err("above 1").to_string();
        assert!(error.contains("negate_probability is 1.5"), "{error}");
        let mut augmentation = everything(true);
        augmentation.angle_range = f32::NAN;
        let error = augmentation.check().expect_err("no number").to_string();
        assert!(error.contains("angle_range is NaN"), "{error}");
    }
}
