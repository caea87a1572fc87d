//! From an encoded picture to bytes of the configured size, within limits.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::Path;

use ht_files::bounded;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use crate::{EpisodeError, ImageShape};

/// The largest picture that is decoded: 64 million pixels in colour. Its file is not longer either.
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
    // Whole, for the decoder of JPEG reads to the end of whatever it is given.
    decode_bytes(&bounded::read(path, MAX_BYTES)?, path)
}

/// Decodes the bytes of a PNG or JPEG file.
pub(crate) fn decode_bytes(bytes: &[u8], path: &Path) -> Result<DynamicImage, EpisodeError> {
    decode(bytes, MAX_SIDE).map_err(|cause| EpisodeError::unreadable(path, cause))
}

/// Decodes a PNG or JPEG picture of an archive, of which it may hold very many.
pub(super) fn decode_small(bytes: &[u8]) -> Result<DynamicImage, String> {
    decode(bytes, MAX_RAW_SIDE as u32)
}

/// Decodes a picture within limits, turned as it is meant to be seen, to 8 bits of luminance or of
/// red, green and blue.
fn decode(bytes: &[u8], most_side: u32) -> Result<DynamicImage, String> {
    let failed = |cause: image::ImageError| cause.to_string();
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|cause| cause.to_string())?;
    if reader.format() == Some(ImageFormat::Jpeg) && !ends(bytes) {
        return Err("a JPEG picture that ends early, expected a whole one".to_owned());
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(most_side);
    limits.max_image_height = Some(most_side);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(failed)?;
    limits.reserve(decoder.total_bytes()).map_err(failed)?;
    decoder.set_limits(limits).map_err(failed)?;
    // Cameras write their pictures as the sensor lies and say beside them which side is up.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    if image.width().min(image.height()) == 0 {
        return Err("a picture without pixels".to_owned());
    }
    let mut image = if image.color().has_color() {
        DynamicImage::ImageRgb8(image.into_rgb8())
    } else {
        DynamicImage::ImageLuma8(image.into_luma8())
    };
    image.apply_orientation(orientation);
    Ok(image)
}

/// Whether a JPEG picture has its end, after which anything may follow. The decoder makes grey of what
/// is missing and says nothing.
fn ends(jpeg: &[u8]) -> bool {
    let mut rest = jpeg;
    while let Some(at) = rest.iter().position(|&byte| byte == 0xff) {
        rest = &rest[at + 1..];
        match rest {
            [0xd9, ..] => return true,
            // A filling byte.
            [0xff, ..] => {}
            // A byte 255 of the pixels, marks between them, the start of a picture: no length.
            [0x00 | 0x01 | 0xd0..=0xd8, ..] => rest = &rest[1..],
            // A segment, in which a small picture with its own end may lie.
            [_, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(1 + length..).unwrap_or_default();
            }
            _ => return false,
        }
    }
    false
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
    use image::{ColorType, ImageBuffer, Luma, Rgb, Rgba, RgbaImage};

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

    /// A JPEG picture whose Exif segment says how it is to be turned.
    fn jpeg(image: &GrayImage, orientation: u8) -> Vec<u8> {
        let mut plain = Cursor::new(Vec::new());
        image
            .write_to(&mut plain, ImageFormat::Jpeg)
            .expect("encoded");
        let plain = plain.into_inner();
        // TIFF: little-endian, a directory at byte 8 with one entry, 0x112, of one 16-bit number.
        let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0]);
        exif.extend([0; 4]);
        let length = (exif.len() as u16 + 2).to_be_bytes();
        // After the start of the image.
        [&plain[..2], b"\xff\xe1", &length, &exif, &plain[2..]].concat()
    }

    #[test]
    fn pictures_are_turned_as_their_exif_says() {
        // White at the top left, black elsewhere: 48 x 32 pixels.
        let sensor = GrayImage::from_fn(48, 32, |x, y| {
            Luma([if x < 16 && y < 16 { 255 } else { 0 }])
        });
        // Where the white corner lies then: right, bottom.
        let corners = [
            (1, false, false),
            (2, true, false),
            (3, true, true),
            (4, false, true),
            (5, false, false),
            (6, true, false),
            (7, true, true),
            (8, false, true),
        ];
        for (orientation, is_right, is_bottom) in corners {
            let image = decode(&jpeg(&sensor, orientation), 100).expect("a picture");
            let image = image.into_luma8();
            let (width, height) = image.dimensions();
            let expected = if orientation < 5 { (48, 32) } else { (32, 48) };
            assert_eq!((width, height), expected, "{orientation}");
            for (right, bottom) in [(false, false), (false, true), (true, false), (true, true)] {
                let x = if right { width - 8 } else { 8 };
                let y = if bottom { height - 8 } else { 8 };
                let is_white = image.get_pixel(x, y).0[0] > 127;
                let expected = (right, bottom) == (is_right, is_bottom);
                assert_eq!(is_white, expected, "{orientation}: {x}, {y}");
            }
        }
        // No orientation is none.
        for nonsense in [0, 9] {
            let image = decode(&jpeg(&sensor, nonsense), 100).expect("a picture");
            assert_eq!((image.width(), image.height()), (48, 32));
        }
    }

    #[test]
    fn pictures_of_16_bits_become_8_before_they_are_scaled() {
        let wide = ImageBuffer::from_fn(30, 30, |x, y| Luma([(x * 2100 + y * 67) as u16]));
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageLuma16(wide.clone())
            .write_to(&mut bytes, ImageFormat::Png)
            .expect("encoded");
        let image = decode(&bytes.into_inner(), 100).expect("a picture");
        let narrow = DynamicImage::ImageLuma8(DynamicImage::ImageLuma16(wide).into_luma8());
        assert_eq!(image.color(), ColorType::L8);
        assert_eq!(image.as_bytes(), narrow.as_bytes());
        assert_eq!(fit(&image, square(13, 1)), fit(&narrow, square(13, 1)));
    }

    #[test]
    fn transparency_is_dropped() {
        let clear = RgbaImage::from_pixel(4, 4, Rgba([10, 20, 30, 0]));
        let mut bytes = Cursor::new(Vec::new());
        clear
            .write_to(&mut bytes, ImageFormat::Png)
            .expect("encoded");
        let image = decode(&bytes.into_inner(), 100).expect("a picture");
        let expected = RgbImage::from_pixel(4, 4, Rgb([10, 20, 30]));
        assert_eq!(image.color(), ColorType::Rgb8);
        assert_eq!(image.as_bytes(), expected.as_raw().as_slice());
    }

    #[test]
    fn a_file_of_any_length_is_no_picture() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("a.jpg");
        let file = std::fs::File::create(&path).expect("made");
        file.set_len(MAX_BYTES + 1).expect("a sparse file");
        let error = decode_file(&path).expect_err("too long").to_string();
        assert!(
            error.contains("a.jpg") && error.contains("expected at most 201326592"),
            "{error}"
        );
    }

    #[test]
    fn a_jpeg_picture_that_ends_early_is_an_error() {
        let image = GrayImage::from_fn(90, 90, |x, y| Luma([(x * y * 7) as u8]));
        // With a small picture of its own in its Exif segment, as cameras write it.
        let thumbnail = jpeg(&GrayImage::new(8, 8), 1);
        let length = (thumbnail.len() as u16 + 2).to_be_bytes();
        let plain = jpeg(&image, 1);
        let start = [&plain[..2], b"\xff\xe2", &length, &thumbnail].concat();
        let whole = [&start[..], &plain[2..]].concat();
        let path = Path::new("cut.jpg");
        let fails = |bytes: &[u8]| {
            let error = decode_bytes(bytes, path).expect_err("cut").to_string();
            assert!(error.contains("cut.jpg"), "{error}");
        };
        for length in [700, plain.len() / 2, plain.len() - 2, plain.len() - 1] {
            fails(&plain[..length]);
        }
        for length in [start.len(), whole.len() / 2, whole.len() - 1] {
            fails(&whole[..length]);
        }
        for after in [&b""[..], &[0; 64], b"\xff\xda a film"] {
            let bytes = [&whole[..], after].concat();
            assert!(decode_bytes(&bytes, path).is_ok(), "{after:?}");
        }
    }

    #[test]
    fn damage_is_an_error() {
        assert!(decode_small(b"\x89PNG\r\n\x1a\n broken").is_err());
    }
}
