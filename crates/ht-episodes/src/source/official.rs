//! What data sets with an official split share: a file or folder for each of three parts, and
//! an order of classes that does not depend on the layout.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::decode::{check_fitted, check_images};
use super::folder::{self, ClassFiles};
use crate::{EpisodeError, ImageClass, ImageSet, ImageShape, Split};

/// Labels number classes; a larger one is no label.
const MAX_LABEL: i64 = 100_000;

/// A part's names in files.
fn names(split: Split) -> &'static [&'static str] {
    match split {
        Split::Train => &["train"],
        Split::Validation => &["val", "validation"],
        Split::Test => &["test"],
    }
}

/// The three parts' files or folders, where `file` makes a file name of a part's name.
///
/// None if no part is there; a part that lacks beside others is an error.
pub(super) fn find_parts(
    place: &Path,
    file: impl Fn(&str) -> String,
) -> Result<Option<[(Split, PathBuf); 3]>, EpisodeError> {
    let find = |split: Split| {
        let mut paths = names(split).iter().map(|name| place.join(file(name)));
        paths.find(|path| path.exists())
    };
    let found = Split::ALL.map(find);
    if found.iter().all(Option::is_none) {
        return Ok(None);
    }
    match found {
        [Some(train), Some(validation), Some(test)] => Ok(Some([
            (Split::Train, train),
            (Split::Validation, validation),
            (Split::Test, test),
        ])),
        found => {
            let lacks = Split::ALL.into_iter().zip(&found);
            let lacks = lacks
                .filter(|(_, path)| path.is_none())
                .map(|(split, _)| split);
            let lacking: Vec<String> = lacks.map(|split| file(names(split)[0])).collect();
            let cause = format!("lacks {}, expected train, val and test", lacking.join(", "));
            Err(EpisodeError::unreadable(place, cause))
        }
    }
}

/// Reads the class folders of each part, which lie in `place`.
pub(super) fn read_folders(
    place: &Path,
    parts: &[(Split, PathBuf)],
    shape: ImageShape,
) -> Result<Vec<ImageClass>, EpisodeError> {
    let mut classes = Vec::new();
    for (split, root) in parts {
        let found = folder::find_classes(root, 1)?.classes;
        if found.is_empty() {
            return Err(EpisodeError::unreadable(
                root,
                "no class folder with PNG or JPEG images",
            ));
        }
        classes.extend(found.into_iter().map(|(name, files)| ClassFiles {
            name,
            official: Some(*split),
            files,
        }));
    }
    folder::read_classes(place, classes, shape)
}

/// Classes of pictures with a label each, named by part and label and, where known, in words.
///
/// `picture` is asked for pictures 0, 1, 2, .. in order, and returns C, H, W bytes of `shape`.
pub(super) fn classes_by_label(
    split: Split,
    labels: &[i64],
    words: Option<&[String]>,
    shape: ImageShape,
    mut picture: impl FnMut(usize) -> Result<Vec<u8>, String>,
) -> Result<Vec<ImageClass>, String> {
    check_images(labels.len())?;
    check_fitted(labels.len(), shape)?;
    let bound = words.map_or(MAX_LABEL, |words| words.len() as i64);
    let mut by_label: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    for (index, &label) in labels.iter().enumerate() {
        if !(0..bound).contains(&label) {
            return Err(format!(
                "picture {index} has label {label}, expected 0 to {}",
                bound - 1
            ));
        }
        by_label.entry(label).or_default().extend(picture(index)?);
    }
    let class = |(label, pixels): (i64, Vec<u8>)| {
        let number = format!("{}/{label:03}", split.name());
        let word = words.and_then(|words| words.get(label as usize));
        ImageClass {
            name: word.map_or_else(|| number.clone(), |word| format!("{number} {word}")),
            pixels,
            official: Some(split),
        }
    };
    Ok(by_label.into_iter().map(class).collect())
}

/// Whether a name from a list or table is the name of a file or folder and not a way out.
pub(super) fn is_plain_name(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|file| file == name) && !name.contains(['/', '\\'])
}

/// Joins classes, sorted by part and name.
///
/// # Errors
/// A class that stands in two parts, or has no image.
pub(super) fn join(
    shape: ImageShape,
    mut classes: Vec<ImageClass>,
) -> Result<ImageSet, EpisodeError> {
    let part = |class: &ImageClass| class.official.map(|split| split as usize);
    classes.sort_by(|a, b| (part(a), &a.name).cmp(&(part(b), &b.name)));
    let mut seen = BTreeSet::new();
    for class in &classes {
        if !seen.insert(&class.name) {
            return Err(EpisodeError::BadClass {
                class: class.name.clone(),
                cause: "stands in two parts of the split, expected in one".to_owned(),
            });
        }
        if class.pixels.is_empty() {
            return Err(EpisodeError::BadClass {
                class: class.name.clone(),
                cause: "no image, expected at least one".to_owned(),
            });
        }
    }
    ImageSet::new(shape, classes)
}
