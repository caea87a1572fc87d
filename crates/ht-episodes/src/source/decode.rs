//! From an encoded picture to bytes of the configured size, within limits.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageReader, Limits};

use super::Channels;
use crate::{EpisodeError, ImageShape};

/// The largest picture that is decoded: no camera's, but enough for any.
const MAX_SIDE: u32 = 20_000;
const MAX_BYTES: u64 = 1 << 30;

/// Reads and decodes a PNG or JPEG file.
pub(super) fn decode_file(path: &Path) -> Result<DynamicImage, EpisodeError> {
    let file = File::open(path).map_err(|cause| EpisodeError::unreadable(path, cause))?;
    decode(BufReader::new(file)).map_err(|cause| EpisodeError::unreadable(path, cause))
}

/// Decodes a PNG or JPEG picture.
pub(super) fn decode(bytes: impl BufRead + Seek) -> Result<DynamicImage, String> {
    let mut reader = ImageReader::new(bytes)
        .with_guessed_format()
        .map_err(|cause| cause.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    reader.decode().map_err(|cause| cause.to_string())
}

/// Scales the shorter side to `shape`'s and cuts out the centre; returns C, H, W bytes.
pub(super) fn fit(image: &DynamicImage, image_size: usize, channels: Channels) -> Vec<u8> {
    let side = image_size as u32;
    let (width, height) = (image.width().max(1), image.height().max(1));
    let short = u64::from(width.min(height));
    let scaled = |length: u32| {
        let length = (u64::from(length) * u64::from(side)).div_ceil(short);
        (length as u32).max(side)
    };
    // Cutting before scaling keeps a very long picture from becoming a very large one.
    let crop = width.min(height).max(1);
    let image = if width.max(height) / crop >= 4 {
        image.crop_imm((width - crop) / 2, (height - crop) / 2, crop, crop)
    } else {
        image.clone()
    };
    let (width, height) = (image.width(), image.height());
    let image = if width == side && height == side {
        image
    } else {
        image.resize_exact(scaled(width), scaled(height), FilterType::Lanczos3)
    };
    let (left, top) = ((image.width() - side) / 2, (image.height() - side) / 2);
    match channels {
        Channels::Grey => imageops::crop_imm(&image.to_luma8(), left, top, side, side)
            .to_image()
            .into_raw(),
        Channels::Colour => {
            let pixels = imageops::crop_imm(&image.to_rgb8(), left, top, side, side)
                .to_image()
                .into_raw();
            (0..3)
                .flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied())
                .collect()
        }
    }
}

/// The shape of what [`fit`] returns.
pub(super) fn fitted_shape(image_size: usize, channels: Channels) -> ImageShape {
    ImageShape {
        channels: channels.count(),
        height: image_size,
        width: image_size,
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    #[test]
    fn the_centre_survives_and_channels_are_planes() {
        // Red left of column 10, blue right of column 30, green between: 40 x 20 pixels.
        let image = RgbImage::from_fn(40, 20, |x, _| match x {
            0..10 => Rgb([255, 0, 0]),
            10..30 => Rgb([0, 255, 0]),
            _ => Rgb([0, 0, 255]),
        });
        let bytes = fit(&DynamicImage::ImageRgb8(image), 20, Channels::Colour);
        assert_eq!(bytes.len(), 3 * 400);
        assert!(bytes[..400].iter().all(|&red| red == 0));
        assert!(bytes[400..800].iter().all(|&green| green == 255));
    }

    #[test]
    fn any_side_ratio_fits() {
        for (width, height) in [(1, 1), (3, 200), (200, 3), (28, 28), (105, 105)] {
            let image = DynamicImage::new_luma8(width, height);
            assert_eq!(fit(&image, 28, Channels::Grey).len(), 784);
        }
    }

    #[test]
    fn damage_is_an_error() {
        let cursor = std::io::Cursor::new(b"\x89PNG\r\n\x1a\n broken".to_vec());
        assert!(decode(cursor).is_err());
    }
}
