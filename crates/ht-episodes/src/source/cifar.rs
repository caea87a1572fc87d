//! CIFAR-FS and FC100: two ways to divide CIFAR-100's classes into 64 / 16 / 20 and
//! 60 / 20 / 20, 600 colour pictures each, 32 x 32.

use std::path::{Path, PathBuf};

use ht_files::bounded;

use super::decode::{fit_raw, raw_len};
use super::folder::{self, ClassFiles};
use super::{official, pickle};
use crate::{EpisodeError, ImageClass, ImageSet, ImageShape, Split};

/// Subfolders that other libraries keep CIFAR-FS in.
const CIFAR_FS_PLACES: [&str; 8] = [
    "",
    "cifar100",
    "cifarfs/processed",
    "processed",
    "cifar-fs",
    "cifar-fs/cifar100",
    "CIFAR-FS",
    "cifarfs",
];

const FC100_PLACES: [&str; 3] = ["", "fc100", "FC100"];

/// Lists of class names are short.
const MAX_LIST_BYTES: u64 = 1 << 20;

/// Reads CIFAR-FS from `root` or one of its usual subfolders.
pub(super) fn load_cifar_fs(root: &Path, shape: ImageShape) -> Result<ImageSet, EpisodeError> {
    for place in CIFAR_FS_PLACES.iter().map(|place| root.join(place)) {
        let lists = place.join("splits/bertinetto");
        let classes =
            if let Some(lists) = official::find_parts(&lists, |part| format!("{part}.txt"))? {
                read_lists(&lists, &place.join("data"), shape)?
            } else if let Some(files) =
                official::find_parts(&place, |part| format!("CIFAR_FS_{part}.pickle"))?
            {
                read_pickles(&files, shape)?
            } else if let Some(folders) = official::find_parts(&place, str::to_owned)? {
                official::read_folders(&place, &folders, shape)?
            } else {
                continue;
            };
        return official::join(shape, classes);
    }
    Err(EpisodeError::MissingDataSet {
        name: "cifar-fs",
        path: root.to_owned(),
        expected: "cifar100/data/<class> with cifar100/splits/bertinetto/{train,val,test}.txt, or \
                   cifarfs/processed/{train,val,test}/<class>, or \
                   CIFAR_FS_{train,val,test}.pickle",
    })
}

/// Reads FC100 from `root` or one of its usual subfolders.
pub(super) fn load_fc100(root: &Path, shape: ImageShape) -> Result<ImageSet, EpisodeError> {
    for place in FC100_PLACES.iter().map(|place| root.join(place)) {
        if let Some(files) = official::find_parts(&place, |part| format!("FC100_{part}.pickle"))? {
            return official::join(shape, read_pickles(&files, shape)?);
        }
    }
    Err(EpisodeError::MissingDataSet {
        name: "fc100",
        path: root.to_owned(),
        expected: "FC100_{train,val,test}.pickle",
    })
}

/// Reads the class folders that each part's list names.
fn read_lists(
    lists: &[(Split, PathBuf)],
    data: &Path,
    shape: ImageShape,
) -> Result<Vec<ImageClass>, EpisodeError> {
    let mut classes = Vec::new();
    for (split, list) in lists {
        let bad = |cause: String| EpisodeError::unreadable(list, cause);
        let text = bounded::read_text(list, MAX_LIST_BYTES)?;
        for name in text.lines().map(str::trim).filter(|name| !name.is_empty()) {
            if !official::is_plain_name(name) {
                return Err(bad(format!(
                    "{name:?}, expected the name of a folder in data/"
                )));
            }
            classes.push(ClassFiles {
                name: name.to_owned(),
                official: Some(*split),
                files: folder::find_class(data, name)?,
            });
        }
    }
    folder::read_classes(data, classes, shape)
}

fn read_pickles(
    files: &[(Split, PathBuf)],
    shape: ImageShape,
) -> Result<Vec<ImageClass>, EpisodeError> {
    let mut classes = Vec::new();
    for (split, path) in files {
        let of_part = read_pickle(pickle::read(path)?, *split, shape)
            .map_err(|cause| EpisodeError::unreadable(path, cause))?;
        classes.extend(of_part);
    }
    Ok(classes)
}

/// Reads `data` [images, H, W, C] and `labels`.
fn read_pickle(
    value: pickle::Value,
    split: Split,
    shape: ImageShape,
) -> Result<Vec<ImageClass>, String> {
    let mut fields = pickle::Fields::of(value)?;
    let in_data = |cause: String| format!("data: {cause}");
    let images = pickle::Array::of(fields.take("data")?).map_err(in_data)?;
    let (n_images, sides) = images.pictures().map_err(in_data)?;
    let len = raw_len(sides).map_err(in_data)?;
    let pixels = images.into_bytes().map_err(in_data)?;
    let labels = pickle::integers(fields.take("labels")?);
    let labels = labels.map_err(|cause| format!("labels: {cause}"))?;
    if labels.len() != n_images || n_images == 0 {
        return Err(format!(
            "{n_images} pictures, but {} labels, expected as many and at least one",
            labels.len()
        ));
    }
    let picture = |index: usize| Ok(fit_raw(&pixels[index * len..][..len], sides, shape));
    official::classes_by_label(split, &labels, None, shape, picture)
}
