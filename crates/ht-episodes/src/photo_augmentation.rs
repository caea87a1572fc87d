//! Random changes of single photographs: flip, colours and crop, drawn apart for support and
//! query images (paper, appendix B; the ranges are the released code's).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::image_ops::Picture;
use crate::image_ops::geometric::{self, CropBox};
use crate::image_ops::photo::{self, Photo};

/// Probability that left and right are swapped.
const FLIP_PROBABILITY: f64 = 0.5;
/// The hue is turned by up to this part of the colour circle, both ways.
const MAX_HUE: f32 = 0.2;
/// The brightness is changed by up to this part of full scale, both ways.
const MAX_BRIGHTNESS: f32 = 0.3;
/// The contrast factor is in 1 - this to 1 + this.
const MAX_CONTRAST: f32 = 0.2;
/// The smallest crop's side, as a part of the picture's.
const MIN_CROP: f32 = 0.6;

/// Flip, hue, brightness, contrast and a square crop; the numbers are constants of this
/// crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhotoAugmentation {
    /// Whether each image has its own hue, brightness and contrast, not one for all images of
    /// a set. Flip and crop are always an image's own.
    pub individually: bool,
}

/// Colour changes: the same for all images of a support or query set, or an image's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrawnColours {
    /// Part of the colour circle ([`photo::hue`]).
    pub hue: f32,
    /// Part of full scale ([`photo::brightness`]).
    pub brightness: f32,
    /// Factor ([`photo::contrast`]).
    pub contrast: f32,
}

/// What was drawn for one image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrawnPhoto {
    /// Whether left and right are swapped.
    pub flip: bool,
    /// The colour changes.
    pub colours: DrawnColours,
    /// The part that is shown.
    pub crop: CropBox,
}

impl PhotoAugmentation {
    /// The draws of `n_images` images: all of an episode's support set, or all of its query
    /// set.
    pub fn draw(&self, n_images: usize, rng: &mut ChaCha8Rng) -> Vec<DrawnPhoto> {
        let shared = DrawnColours::draw(rng);
        (0..n_images)
            .map(|_| DrawnPhoto {
                flip: rng.random_bool(FLIP_PROBABILITY),
                colours: if self.individually {
                    DrawnColours::draw(rng)
                } else {
                    shared
                },
                crop: draw_crop(rng),
            })
            .collect()
    }
}

impl DrawnColours {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self {
            hue: rng.random_range(-MAX_HUE..MAX_HUE),
            brightness: rng.random_range(-MAX_BRIGHTNESS..MAX_BRIGHTNESS),
            contrast: rng.random_range(1.0 - MAX_CONTRAST..1.0 + MAX_CONTRAST),
        }
    }
}

fn draw_crop(rng: &mut ChaCha8Rng) -> CropBox {
    let side = rng.random_range(MIN_CROP..1.0);
    let mut start = || rng.random_range(0.0..=1.0 - side);
    let (top, left) = (start(), start());
    CropBox {
        top,
        left,
        bottom: top + side,
        right: left + side,
    }
}

impl DrawnPhoto {
    /// The normalised picture after all operations, in the released code's order; it keeps
    /// its size.
    #[must_use]
    pub fn apply(&self, picture: &Picture) -> Picture {
        let DrawnColours {
            hue,
            brightness,
            contrast,
        } = self.colours;
        let mut bytes = Photo::from_normalised(picture);
        if self.flip {
            bytes = photo::flip(bytes);
        }
        bytes = photo::hue(bytes, hue);
        bytes = photo::brightness(bytes, brightness);
        bytes = photo::contrast(bytes, contrast);
        let shape = picture.shape();
        geometric::crop_and_resize(&bytes.normalised(), self.crop, shape.height, shape.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageShape, random};

    fn draws(individually: bool) -> Vec<DrawnPhoto> {
        let mut rng = random::stream(4, "photo", 0, 0);
        PhotoAugmentation { individually }.draw(100, &mut rng)
    }

    #[test]
    fn draws_are_in_their_ranges() {
        let draws = draws(true);
        for drawn in &draws {
            let DrawnColours {
                hue,
                brightness,
                contrast,
            } = drawn.colours;
            assert!(hue.abs() <= MAX_HUE && brightness.abs() <= MAX_BRIGHTNESS);
            assert!((contrast - 1.0).abs() <= MAX_CONTRAST + 1e-6);
            let CropBox {
                top,
                left,
                bottom,
                right,
            } = drawn.crop;
            assert!(top >= 0.0 && left >= 0.0 && bottom <= 1.0001 && right <= 1.0001);
            assert!((bottom - top - (right - left)).abs() < 1e-6, "a square");
            assert!(bottom - top >= MIN_CROP - 1e-6);
        }
        let flips = draws.iter().filter(|drawn| drawn.flip).count();
        assert!((30..70).contains(&flips), "{flips}");
    }

    #[test]
    fn colours_are_shared_or_an_images_own() {
        let shared = draws(false);
        assert!(shared.iter().all(|one| one.colours == shared[0].colours));
        assert_ne!(shared[0].crop, shared[1].crop);
        let own = draws(true);
        assert_ne!(own[0].colours, own[1].colours);
    }

    #[test]
    fn the_neutral_draw_changes_nothing() {
        let shape = ImageShape {
            channels: 3,
            height: 4,
            width: 4,
        };
        let bytes: Vec<u8> = (0..48).map(|i| i * 5).collect();
        let picture = Picture::from_bytes(shape, &bytes).normalised();
        let neutral = DrawnPhoto {
            flip: false,
            colours: DrawnColours {
                hue: 0.0,
                brightness: 0.0,
                contrast: 1.0,
            },
            crop: CropBox {
                top: 0.0,
                left: 0.0,
                bottom: 1.0,
                right: 1.0,
            },
        };
        assert_eq!(neutral.apply(&picture), picture);
    }
}
