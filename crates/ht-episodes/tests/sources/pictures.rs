//! Small colour pictures that tell their class, and sets in a form to compare.

use std::fs;
use std::path::Path;

use ht_episodes::{ImageSet, ImageSource, Split};
use image::{ImageFormat, RgbImage};
use tempfile::TempDir;

/// Side of the pictures.
pub(crate) const SIDE: usize = 8;

/// H, W, C bytes of a picture.
pub(crate) fn picture(class: usize, index: usize) -> Vec<u8> {
    (0..SIDE * SIDE * 3)
        .map(|place| (place + 40 * class + 7 * index) as u8)
        .collect()
}

/// The same as a PNG file.
pub(crate) fn png(class: usize, index: usize) -> Vec<u8> {
    let side = SIDE as u32;
    let image = RgbImage::from_raw(side, side, picture(class, index)).expect("as many bytes");
    let mut bytes = std::io::Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, ImageFormat::Png)
        .expect("encoded");
    bytes.into_inner()
}

/// The picture as a set holds it: C, H, W bytes.
pub(crate) fn planes(class: usize, index: usize) -> Vec<u8> {
    let pixels = picture(class, index);
    (0..3)
        .flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied())
        .collect()
}

/// An npy file.
pub(crate) fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let sizes = sizes.join(", ");
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes},), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

pub(crate) fn write(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}

/// Loads what `write` leaves in a fresh folder.
pub(crate) fn load(source: &ImageSource, write: impl FnOnce(&Path)) -> Result<ImageSet, String> {
    let folder = TempDir::new().expect("temporary folder");
    write(folder.path());
    let set = source.load(Some(folder.path()));
    set.map_err(|error| error.to_string())
}

/// Checks that a damaged set is refused with a message that says all of `expected`.
pub(crate) fn refused(source: &ImageSource, write: impl FnOnce(&Path), expected: &[&str]) {
    let error = load(source, write).expect_err(expected[0]);
    for words in expected {
        assert!(error.contains(words), "{error:?} lacks {words:?}");
    }
    assert!(error.len() < 600, "{error}");
}

/// Name, part and images of every class, in order.
pub(crate) fn described(set: &ImageSet) -> Vec<(String, Option<Split>, Vec<Vec<u8>>)> {
    (0..set.n_classes())
        .map(|class| {
            let images = (0..set.n_images(class)).map(|image| set.image(class, image).to_vec());
            let name = set.class_name(class).to_owned();
            (name, set.official_split(class), images.collect())
        })
        .collect()
}
