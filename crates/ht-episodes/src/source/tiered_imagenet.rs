//! tieredImageNet as people have it: pickled PNG pictures, blue-green-red arrays, the released
//! code's chunks. 351 / 97 / 160 classes of colour pictures, 84 x 84.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::archive::{check_claim, open_archive, open_array};
use super::decode::{decode_small, fit, fit_raw, raw_len};
use super::npy::{self, NpyElement};
use super::{cache, official, pickle};
use crate::{EpisodeError, ImageClass, ImageSet, ImageShape, Split};

const EXPECTED: &str = "{train,val,test}_images_png.pkl or {train,val,test}_images.npz with \
                        {train,val,test}_labels.pkl, or tieredimagenet/*.npy";

/// Subfolders that other libraries keep the set in.
const PLACES: [&str; 4] = ["", "tiered-imagenet", "tiered_imagenet", "tieredImageNet"];

/// Classes for training, validation and test.
const CLASSES: [usize; 3] = [351, 97, 160];

/// Reads tieredImageNet from `root` or one of its usual subfolders.
pub(super) fn load(root: &Path, shape: ImageShape) -> Result<ImageSet, EpisodeError> {
    for place in PLACES.iter().map(|place| root.join(place)) {
        let mut classes = Vec::new();
        if let Some(files) = official::find_parts(&place, |part| format!("{part}_images_png.pkl"))?
        {
            let labels = label_files(&place)?;
            for ((split, path), labels) in files.into_iter().zip(labels) {
                classes.extend(read_pngs(&path, &read_labels(&labels)?, split, shape)?);
            }
        } else if let Some(files) =
            official::find_parts(&place, |part| format!("{part}_images.npz"))?
        {
            let labels = label_files(&place)?;
            for ((split, path), labels) in files.into_iter().zip(labels) {
                let labels = read_labels(&labels)?;
                let of_part = read_npz(&path, &labels, split, shape)
                    .map_err(|cause| EpisodeError::unreadable(&path, cause))?;
                classes.extend(of_part);
            }
        } else if let Some(found) = cache::find(&place, "tieredimagenet")? {
            classes = cache::read_official(&found, CLASSES, shape)?;
        } else {
            continue;
        }
        return official::join(shape, classes);
    }
    Err(EpisodeError::MissingDataSet {
        name: "tiered-imagenet",
        path: root.to_owned(),
        expected: EXPECTED,
    })
}

fn label_files(place: &Path) -> Result<[PathBuf; 3], EpisodeError> {
    let files = official::find_parts(place, |part| format!("{part}_labels.pkl"))?;
    let missing = || EpisodeError::unreadable(place, "lacks train_labels.pkl beside the images");
    Ok(files.ok_or_else(missing)?.map(|(_, path)| path))
}

struct Labels {
    labels: Vec<i64>,
    /// Names of the classes by label, where the file has them.
    words: Option<Vec<String>>,
}

/// Reads `label_specific` with `label_specific_str`, or `labels`.
fn read_labels(path: &Path) -> Result<Labels, EpisodeError> {
    let bad = |cause: String| EpisodeError::unreadable(path, cause);
    let mut fields = pickle::Fields::of(pickle::read(path)?).map_err(bad)?;
    let labels = fields.take("label_specific");
    let labels = labels
        .or_else(|_| fields.take("labels"))
        .map_err(|cause| bad(format!("{cause}, expected label_specific or labels")))?;
    let labels = pickle::integers(labels).map_err(bad)?;
    let words = fields.take("label_specific_str").ok();
    let words = words.map(pickle::texts).transpose().map_err(bad)?;
    Ok(Labels { labels, words })
}

/// Reads a list of PNG files. They were encoded from blue-green-red arrays by a library that
/// takes arrays so: the files themselves are red-green-blue.
fn read_pngs(
    path: &Path,
    labels: &Labels,
    split: Split,
    shape: ImageShape,
) -> Result<Vec<ImageClass>, EpisodeError> {
    let bad = |cause: String| EpisodeError::unreadable(path, cause);
    let mut files = pickle::arrays(pickle::read(path)?).map_err(bad)?;
    check_count(files.len(), labels).map_err(bad)?;
    let picture = |index: usize| {
        let file = std::mem::replace(&mut files[index], pickle::NOTHING);
        let image = pickle::bytes(file).and_then(|bytes| decode_small(&bytes));
        let image = image.map_err(|cause| format!("picture {index}: {cause}"))?;
        Ok(fit(&image, shape))
    };
    let words = labels.words.as_deref();
    official::classes_by_label(split, &labels.labels, words, shape, picture).map_err(bad)
}

/// Reads `images` [images, H, W, 3], blue-green-red.
fn read_npz(
    path: &Path,
    labels: &Labels,
    split: Split,
    shape: ImageShape,
) -> Result<Vec<ImageClass>, String> {
    let mut archive = open_archive(path)?;
    let mut array = open_array(&mut archive, "images.npy")?;
    let n_bytes = array.size();
    let header = npy::read_header(&mut array)?;
    let (&[n_images, height, width, 3], NpyElement::Byte) =
        (header.shape.as_slice(), header.element)
    else {
        return Err(format!(
            "array of shape {:?}, expected bytes [images, height, width, 3]",
            header.shape
        ));
    };
    check_claim(&header.shape, n_bytes)?;
    let sides = [height, width, 3];
    let mut pixels = vec![0; raw_len(sides)?];
    check_count(n_images, labels)?;
    let picture = |index: usize| {
        array
            .read_exact(&mut pixels)
            .map_err(|cause| format!("picture {index}: {cause}"))?;
        for pixel in pixels.chunks_exact_mut(3) {
            pixel.reverse();
        }
        Ok(fit_raw(&pixels, sides, shape))
    };
    let words = labels.words.as_deref();
    official::classes_by_label(split, &labels.labels, words, shape, picture)
}

fn check_count(n_images: usize, labels: &Labels) -> Result<(), String> {
    let n_labels = labels.labels.len();
    if n_images == n_labels && n_images > 0 {
        Ok(())
    } else {
        Err(format!(
            "{n_images} pictures, but {n_labels} labels, expected as many and at least one"
        ))
    }
}
