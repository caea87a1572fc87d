//! miniImageNet as people have it: pickles, tables with pictures, folders, the released code's
//! array. 64 / 16 / 20 classes of 600 colour pictures, 84 x 84.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::archive::open_table;
use super::decode::{check_fitted, fit_raw, raw_len};
use super::folder::{self, ClassFiles};
use super::{cache, official, pickle};
use crate::{EpisodeError, ImageClass, ImageSet, ImageShape, Split};

const EXPECTED: &str = "mini-imagenet-cache-{train,val,test}.pkl, or {train,val,test}.csv with \
                        images/, or folders {train,val,test}/<class>, or miniimagenet.npy";

/// Subfolders that other libraries keep the set in.
const PLACES: [&str; 5] = [
    "",
    "mini-imagenet",
    "mini_imagenet",
    "miniimagenet",
    "miniImageNet",
];

/// Classes for training, validation and test.
const CLASSES: [usize; 3] = [64, 16, 20];

/// Rows of a table that are read at most.
const MAX_ROWS: usize = 100_000;

/// Reads miniImageNet from `root` or one of its usual subfolders.
pub(super) fn load(root: &Path, shape: ImageShape) -> Result<ImageSet, EpisodeError> {
    for place in PLACES.iter().map(|place| root.join(place)) {
        let mut classes = Vec::new();
        if let Some(files) =
            official::find_parts(&place, |p| format!("mini-imagenet-cache-{p}.pkl"))?
        {
            for (split, path) in files {
                let of_part = read_pickle(&path, split, shape)
                    .map_err(|cause| EpisodeError::unreadable(&path, cause))?;
                classes.extend(of_part);
            }
        } else if let Some(tables) = official::find_parts(&place, |part| format!("{part}.csv"))? {
            let mut files = Vec::new();
            for (split, path) in tables {
                files.extend(read_table(&path, &place.join("images"), split)?);
            }
            classes = folder::read_classes(&place, files, shape)?;
        } else if let Some(folders) = official::find_parts(&place, str::to_owned)? {
            classes = official::read_folders(&place, &folders, shape)?;
        } else if let Some(found) = cache::find(&place, "miniimagenet")? {
            classes = cache::read_official(&found, CLASSES, shape)?;
        } else {
            continue;
        }
        return official::join(shape, classes);
    }
    Err(EpisodeError::MissingDataSet {
        name: "mini-imagenet",
        path: root.to_owned(),
        expected: EXPECTED,
    })
}

/// Reads `image_data` [images, H, W, C] and `class_dict`, the indices of each class's images.
fn read_pickle(path: &Path, split: Split, shape: ImageShape) -> Result<Vec<ImageClass>, String> {
    let value = pickle::read(path).map_err(|error| match error {
        EpisodeError::Unreadable { cause, .. } => cause,
        error => error.to_string(),
    })?;
    let mut fields = pickle::Fields::of(value)?;
    let in_field = |name: &'static str| move |cause: String| format!("{name}: {cause}");
    let images = pickle::Array::of(fields.take("image_data")?).map_err(in_field("image_data"))?;
    let (n_images, sides) = images.pictures().map_err(in_field("image_data"))?;
    let len = raw_len(sides)?;
    check_fitted(n_images, shape).map_err(in_field("image_data"))?;
    let pixels = images.into_bytes().map_err(in_field("image_data"))?;
    let classes = pickle::Fields::of(fields.take("class_dict")?).map_err(in_field("class_dict"))?;
    let mut n_used = 0;
    let read_class = |(name, indices)| {
        let in_class = |cause: String| format!("class_dict: class {name}: {cause}");
        let mut fitted = Vec::new();
        let indices = pickle::integers(indices).map_err(in_class)?;
        n_used += indices.len();
        if n_used > n_images {
            return Err(in_class(format!(
                "more indices than the {n_images} images, expected each image in one class"
            )));
        }
        for index in indices {
            let index = usize::try_from(index)
                .ok()
                .filter(|&index| index < n_images);
            let index = index.ok_or_else(|| {
                in_class(format!(
                    "an index out of bounds, expected 0 to {}",
                    n_images.max(1) - 1
                ))
            })?;
            fitted.extend(fit_raw(&pixels[index * len..][..len], sides, shape));
        }
        if fitted.is_empty() {
            return Err(in_class("no image, expected at least one".to_owned()));
        }
        Ok(ImageClass {
            name,
            pixels: fitted,
            official: Some(split),
        })
    };
    classes.into_iter().map(read_class).collect()
}

/// Reads a table with the columns `filename,label` or `image_name,class_name`.
fn read_table(path: &Path, images: &Path, split: Split) -> Result<Vec<ClassFiles>, EpisodeError> {
    let bad = |cause: String| EpisodeError::unreadable(path, cause);
    let bad_row = |cause: csv::Error| EpisodeError::unreadable(path, cause);
    let mut reader = open_table(path)?;
    let headers = reader.headers().map_err(bad_row)?.clone();
    let column = |names: [&str; 2]| {
        let position = headers.iter().position(|header| names.contains(&header));
        position.ok_or_else(|| {
            bad("expected the columns filename,label or class_name,image_name".to_owned())
        })
    };
    let (file, class) = (
        column(["filename", "image_name"])?,
        column(["label", "class_name"])?,
    );
    let mut classes: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for (row, record) in reader.records().enumerate() {
        let record = record.map_err(bad_row)?;
        let name = record.get(file).unwrap_or_default();
        if row >= MAX_ROWS || !official::is_plain_name(name) {
            let name: String = name.chars().take(100).collect();
            return Err(bad(format!(
                "row {row}: {name:?}, expected the name of a file in images/ and at most \
                 {MAX_ROWS} rows"
            )));
        }
        let class = record.get(class).unwrap_or_default().to_owned();
        classes.entry(class).or_default().push(images.join(name));
    }
    if classes.is_empty() {
        return Err(bad("a table without rows".to_owned()));
    }
    let of_class = |(name, files)| ClassFiles {
        name,
        official: Some(split),
        files,
    };
    Ok(classes.into_iter().map(of_class).collect())
}
