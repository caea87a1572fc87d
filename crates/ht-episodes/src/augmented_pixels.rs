//! From the bytes of an image to the pixels that a model sees, with what was drawn for it:
//! the one call of the data path.

use crate::image_ops::Picture;
use crate::{DrawnAugmentation, ImageChange, ImageShape, Orientation};

/// The normalised pixels (x / 128 - 1) of an image after its augmentations.
///
/// Without draws they are [`crate::normalize_pixel`] of each byte. The orientation comes first.
///
/// # Shapes
/// - `bytes`: C · H · W, returns the same.
pub fn augmented_pixels(
    bytes: &[u8],
    shape: ImageShape,
    orientation: Orientation,
    class: Option<&DrawnAugmentation>,
    change: Option<&ImageChange>,
) -> Vec<f32> {
    let jitter = change.and_then(|change| change.jitter);
    let standing = || Picture::from_bytes(shape, &orientation.apply(bytes, shape));
    let picture = match (class, jitter) {
        (None, None) => standing(),
        (None, Some(drawn)) => drawn.apply(&Picture::from_bytes(shape, bytes), orientation),
        (Some(class), None) => class.apply(standing()),
        (Some(class), Some(drawn)) => drawn.apply(&class.apply(standing()), Orientation::UPRIGHT),
    };
    let mut picture = picture.normalised();
    if let Some(drawn) = change.and_then(|change| change.photo) {
        picture = drawn.apply(&picture);
    }
    picture.into_values()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EpisodeAugmentation, PhotoAugmentation, normalize_pixel, random};

    const SHAPE: ImageShape = ImageShape {
        channels: 3,
        height: 4,
        width: 4,
    };

    #[test]
    fn without_draws_the_pixels_are_normalised_bytes() {
        let bytes: Vec<u8> = (0..48).map(|i| i * 5).collect();
        let expected: Vec<f32> = bytes.iter().copied().map(normalize_pixel).collect();
        assert_eq!(
            augmented_pixels(&bytes, SHAPE, Orientation::UPRIGHT, None, None),
            expected
        );
    }

    #[test]
    fn pixels_stay_in_range_whatever_is_drawn() {
        let bytes: Vec<u8> = (0..48).map(|i| i * 5).collect();
        let class = EpisodeAugmentation {
            rotation_probability: 0.5,
            angle_range: 180.0,
            roll_probability: 0.5,
            resize_probability: 0.5,
            contrast_probability: 0.5,
            smooth_probability: 0.5,
            negate_probability: 0.5,
            per_class: true,
        };
        for index in 0..100 {
            let mut rng = random::stream(0, "augmentation", 0, index);
            let drawn = class.draw(&mut rng);
            let photo = PhotoAugmentation { individually: true }.draw(1, &mut rng)[0];
            let change = ImageChange {
                jitter: None,
                photo: Some(photo),
            };
            for pixels in [
                augmented_pixels(&bytes, SHAPE, Orientation::UPRIGHT, Some(&drawn), None),
                augmented_pixels(
                    &bytes,
                    SHAPE,
                    Orientation::UPRIGHT,
                    Some(&drawn),
                    Some(&change),
                ),
            ] {
                assert!(pixels.iter().all(|pixel| (-1.0..1.0).contains(pixel)));
            }
        }
    }
}
