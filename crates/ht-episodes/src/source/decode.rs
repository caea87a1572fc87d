//! From an encoded picture to bytes of the configured size, within limits.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageReader, Limits, RgbImage};

use super::archive::open_file;
use crate::{EpisodeError, ImageShape};

/// The largest picture that is decoded: 64 million pixels in colour.
const MAX_SIDE: u32 = 20_000;
const MAX_BYTES: u64 = 192 << 20;
/// The largest picture in an array or an archive.
const MAX_RAW_SIDE: usize = 1024;
/// Pictures in one array or list.
const MAX_IMAGES: usize = 1_000_000;
/// Bytes of all pictures of one part of a set in the configured size: tiny ones in a small file
/// would become many large ones.
const MAX_FITTED_GIB: u64 = 32;

/// Reads and decodes a PNG or JPEG file.
pub(crate) fn decode_file(path: &Path) -> Result<DynamicImage, EpisodeError> {
    let file = open_file(path).map_err(|cause| EpisodeError::unreadable(path, cause))?;
    decode(BufReader::new(file), MAX_SIDE).map_err(|cause| EpisodeError::unreadable(path, cause))
}

/// Decodes a PNG or JPEG picture of an archive, of which it may hold very many.
pub(super) fn decode_small(bytes: impl BufRead + Seek) -> Result<DynamicImage, String> {
    decode(bytes, MAX_RAW_SIDE as u32)
}

fn decode(bytes: impl BufRead + Seek, most_side: u32) -> Result<DynamicImage, String> {
    let mut reader = ImageReader::new(bytes)
        .with_guessed_format()
        .map_err(|cause| cause.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(most_side);
    limits.max_image_height = Some(most_side);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let image = reader.decode().map_err(|cause| cause.to_string())?;
    if image.width().min(image.height()) == 0 {
        return Err("a picture without pixels".to_owned());
    }
    Ok(image)
}

/// Fits a picture that lies in an array as H, W, C bytes; `raw_len` has checked the sides.
pub(super) fn fit_raw(
    pixels: &[u8],
    [height, width, channels]: [usize; 3],
    shape: ImageShape,
) -> Vec<u8> {
    let (width, height) = (width as u32, height as u32);
    let image = if channels == 1 {
        GrayImage::from_raw(width, height, pixels.to_vec()).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, pixels.to_vec()).map(DynamicImage::ImageRgb8)
    };
    fit(
        &image.unwrap_or_else(|| DynamicImage::new_rgb8(width, height)),
        shape,
    )
}

/// Refuses more pictures than any part of a set has.
pub(super) fn check_images(n_images: usize) -> Result<(), String> {
    if n_images <= MAX_IMAGES {
        Ok(())
    } else {
        Err(format!(
            "{n_images} pictures, expected at most {MAX_IMAGES}"
        ))
    }
}

/// Refuses pictures that would take too much memory in the configured size, before the first one
/// takes any.
pub(super) fn check_fitted(n_images: usize, shape: ImageShape) -> Result<(), String> {
    let bytes = (n_images as u64).saturating_mul(shape.len() as u64);
    if bytes <= MAX_FITTED_GIB << 30 {
        Ok(())
    } else {
        Err(format!(
            "{n_images} pictures of {} bytes as configured, expected at most {MAX_FITTED_GIB} GiB \
             in all: lower data.image_size",
            shape.len()
        ))
    }
}

/// Bytes of a picture in an array of shape H, W, C, if they are within bounds.
pub(super) fn raw_len(sides: [usize; 3]) -> Result<usize, String> {
    let [height, width, channels] = sides;
    let is_within = (1..=MAX_RAW_SIDE).contains(&height)
        && (1..=MAX_RAW_SIDE).contains(&width)
        && [1, 3].contains(&channels);
    if is_within {
        Ok(height * width * channels)
    } else {
        Err(format!(
            "pictures of shape {sides:?}, expected 1 to {MAX_RAW_SIDE} pixels a side and 1 or 3 \
             channels"
        ))
    }
}

/// Scales the shorter side to that of `shape` and cuts out the centre; one channel is grey,
/// three are colours. Returns C, H, W bytes.
pub(crate) fn fit(image: &DynamicImage, shape: ImageShape) -> Vec<u8> {
    let side = shape.height as u32;
    let (width, height) = (image.width(), image.height());
    let short = width.min(height);
    // Cutting before scaling keeps a very long picture from becoming a very large one.
    let image = if width.max(height) / short >= 4 {
        let (left, top) = ((width - short) / 2, (height - short) / 2);
        Cow::Owned(image.crop_imm(left, top, short, short))
    } else {
        Cow::Borrowed(image)
    };
    let (width, height) = (image.width(), image.height());
    let scaled = |length: u32| (u64::from(length) * u64::from(side)).div_ceil(short.into()) as u32;
    let image = if width == side && height == side {
        image
    } else {
        Cow::Owned(image.resize_exact(scaled(width), scaled(height), FilterType::Lanczos3))
    };
    let (left, top) = ((image.width() - side) / 2, (image.height() - side) / 2);
    let image = image.crop_imm(left, top, side, side);
    if shape.channels == 1 {
        return image.into_luma8().into_raw();
    }
    let pixels = image.into_rgb8().into_raw();
    (0..3)
        .flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    const fn square(side: usize, channels: usize) -> ImageShape {
        ImageShape {
            channels,
            height: side,
            width: side,
        }
    }

    #[test]
    fn the_centre_survives_and_channels_are_planes() {
        // Red left of column 10, blue right of column 30, green between: 40 x 20 pixels.
        let image = RgbImage::from_fn(40, 20, |x, _| match x {
            0..10 => Rgb([255, 0, 0]),
            10..30 => Rgb([0, 255, 0]),
            _ => Rgb([0, 0, 255]),
        });
        let bytes = fit(&DynamicImage::ImageRgb8(image), square(20, 3));
        assert_eq!(bytes.len(), 3 * 400);
        assert!(bytes[..400].iter().all(|&red| red == 0));
        assert!(bytes[400..800].iter().all(|&green| green == 255));
    }

    #[test]
    fn any_side_ratio_fits() {
        for (width, height) in [(1, 1), (3, 200), (200, 3), (28, 28), (105, 105)] {
            let image = DynamicImage::new_luma8(width, height);
            assert_eq!(fit(&image, square(28, 1)).len(), 784);
        }
    }

    #[test]
    fn pictures_are_counted_in_the_configured_size() {
        assert!(check_fitted(1_000_000, square(84, 3)).is_ok());
        assert!(check_fitted(32 << 10, square(1024, 1)).is_ok());
        let error = check_fitted((32 << 10) + 1, square(1024, 1)).expect_err("one too many");
        assert!(error.contains("32769 pictures of 1048576 bytes"), "{error}");
        assert!(check_fitted(usize::MAX, square(1024, 3)).is_err());
    }

    #[test]
    fn damage_is_an_error() {
        let cursor = std::io::Cursor::new(b"\x89PNG\r\n\x1a\n broken".to_vec());
        assert!(decode_small(cursor).is_err());
    }
}
