//! The caches of the released HyperTransformer code: one array of all classes, or a folder of
//! chunks.

use std::fs;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use super::archive::open_file;
use super::decode::{check_fitted, check_images, fit_raw, raw_len};
use super::npy::{self, NpyElement};
use super::pickle;
use crate::{EpisodeError, ImageClass, ImageSet, ImageShape, Split};

/// Files of one cache; tieredImageNet has 608 classes.
const MAX_CHUNKS: usize = 10_000;

/// Reads the cache `<name>.npy` or `<name>/*.npy` in `root`.
pub(super) fn load(root: &Path, name: &str, shape: ImageShape) -> Result<ImageSet, EpisodeError> {
    let missing = || EpisodeError::MissingDataSet {
        name: "npy-cache",
        path: root.to_owned(),
        expected: "<name>.npy or <name>/*.npy, where <name> is data.name",
    };
    let found = if super::official::is_plain_name(name) {
        find(root, name)?
    } else {
        None
    };
    let classes = read(&found.ok_or_else(missing)?, shape)?;
    ImageSet::new(shape, classes)
}

/// A cache's files, in the order of their classes.
pub(super) struct Cache {
    path: PathBuf,
    files: Vec<PathBuf>,
}

/// Finds `<name>.npy` or the chunks in a folder `<name>`.
pub(super) fn find(place: &Path, name: &str) -> Result<Option<Cache>, EpisodeError> {
    let path = place.join(format!("{name}.npy"));
    if path.is_file() {
        let files = vec![path.clone()];
        return Ok(Some(Cache { path, files }));
    }
    let path = place.join(name);
    let Ok(entries) = fs::read_dir(&path) else {
        return Ok(None);
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "npy"))
        .take(MAX_CHUNKS + 1)
        .collect();
    if files.len() > MAX_CHUNKS {
        let cause = format!("more than {MAX_CHUNKS} npy files, expected at most as many");
        return Err(EpisodeError::unreadable(path, cause));
    }
    files.sort();
    Ok((!files.is_empty()).then_some(Cache { path, files }))
}

/// Reads all classes; they have no names in these files and are numbered.
fn read(cache: &Cache, shape: ImageShape) -> Result<Vec<ImageClass>, EpisodeError> {
    let mut classes = Vec::new();
    let mut n_images = 0;
    for path in &cache.files {
        let bad = |cause: String| EpisodeError::unreadable(path, cause);
        let file = open_file(path).map_err(bad)?;
        let of_file = read_file(&mut BufReader::new(file), shape, &mut n_images).map_err(bad)?;
        if of_file.iter().any(Vec::is_empty) || of_file.is_empty() {
            return Err(bad(
                "a class without images, expected at least one".to_owned()
            ));
        }
        for pixels in of_file {
            classes.push(ImageClass {
                name: format!("{:04}", classes.len()),
                pixels,
                official: None,
            });
        }
    }
    Ok(classes)
}

/// Reads all classes of a cache that holds an official set: those for training, validation and
/// test one after another.
pub(super) fn read_official(
    cache: &Cache,
    sizes: [usize; 3],
    shape: ImageShape,
) -> Result<Vec<ImageClass>, EpisodeError> {
    let mut classes = read(cache, shape)?;
    divide(&mut classes, sizes, cache)?;
    Ok(classes)
}

/// Gives numbered classes their parts: first those for training, then validation, then test.
fn divide(
    classes: &mut [ImageClass],
    sizes: [usize; 3],
    cache: &Cache,
) -> Result<(), EpisodeError> {
    let n_classes = classes.len();
    if n_classes != sizes.iter().sum::<usize>() {
        let cause = format!("{n_classes} classes, expected {sizes:?} one after another");
        return Err(EpisodeError::unreadable(&cache.path, cause));
    }
    let splits = Split::ALL.into_iter().zip(sizes);
    let splits = splits.flat_map(|(split, size)| std::iter::repeat_n(split, size));
    for (class, split) in classes.iter_mut().zip(splits) {
        class.official = Some(split);
    }
    Ok(())
}

/// Pixels of each class of one file; `total` counts the pictures of all files.
fn read_file<R: Read + Seek>(
    reader: &mut BufReader<R>,
    shape: ImageShape,
    total: &mut usize,
) -> Result<Vec<Vec<u8>>, String> {
    let header = npy::read_header(reader)?;
    if header.element == NpyElement::Object {
        let classes = pickle::arrays(pickle::read_from(reader)?)?;
        return classes
            .into_iter()
            .enumerate()
            .map(|(index, class)| {
                read_object(class, shape, total).map_err(|cause| format!("class {index}: {cause}"))
            })
            .collect();
    }
    let (n_classes, n_images, sides) = match *header.shape.as_slice() {
        [classes, images, height, width] => (classes, images, [height, width, 1]),
        [classes, images, height, width, channels] => (classes, images, [height, width, channels]),
        _ => {
            return Err(format!(
                "array of shape {:?}, expected [classes, images, height, width] or [classes, \
                 images, height, width, channels]",
                header.shape
            ));
        }
    };
    let n_in_file = n_classes.saturating_mul(n_images);
    check_images(n_in_file)?;
    *total += n_in_file;
    check_fitted(*total, shape)?;
    let mut pixels = vec![0; raw_len(sides)?];
    let mut classes = Vec::new();
    for _ in 0..n_classes {
        // Not reserved: the header's counts are only believed as far as there are data.
        let mut fitted = Vec::new();
        for _ in 0..n_images {
            reader
                .read_exact(&mut pixels)
                .map_err(|cause| cause.to_string())?;
            if header.element == NpyElement::Bool {
                for pixel in &mut pixels {
                    *pixel = if *pixel == 0 { 0 } else { 255 };
                }
            }
            fitted.extend(fit_raw(&pixels, sides, shape));
        }
        if fitted.is_empty() {
            return Err("a class without images, expected at least one".to_owned());
        }
        classes.push(fitted);
    }
    Ok(classes)
}

/// One class of a chunk: an array [images, H, W, C] of bytes.
fn read_object(
    class: pickle::Value,
    shape: ImageShape,
    total: &mut usize,
) -> Result<Vec<u8>, String> {
    let images = pickle::Array::of(class)?;
    let (n_images, sides) = images.pictures()?;
    *total += n_images;
    check_fitted(*total, shape)?;
    let len = raw_len(sides)?;
    let pixels = images.into_bytes()?;
    Ok(pixels
        .chunks_exact(len)
        .flat_map(|picture| fit_raw(picture, sides, shape))
        .collect())
}
