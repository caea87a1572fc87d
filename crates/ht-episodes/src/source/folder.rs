//! Images that lie in class folders: each folder that holds pictures is a class.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::decode::{decode_file, fit};
use crate::{EpisodeError, ImageClass, ImageSet, ImageShape, Split};

/// Folders inside folders that are searched for classes.
const MAX_DEPTH: usize = 4;
/// Pictures that are read at most.
const MAX_IMAGES: usize = 5_000_000;

/// Reads a folder of class folders.
///
/// A class is named by its path below `root`, and classes and images are sorted by name,
/// so that a set is the same on every machine.
pub(super) fn load(root: &Path, shape: ImageShape) -> Result<ImageSet, EpisodeError> {
    let missing = || EpisodeError::MissingDataSet {
        name: "folder",
        path: root.to_owned(),
        expected: "class folders with PNG or JPEG images",
    };
    if !root.is_dir() {
        return Err(missing());
    }
    let mut classes = Vec::new();
    find_classes(root, root, MAX_DEPTH, &mut classes)?;
    if classes.is_empty() {
        return Err(missing());
    }
    let classes = classes
        .into_iter()
        .map(|(name, files)| read_class(name, None, &files, shape))
        .collect::<Result<_, EpisodeError>>()?;
    ImageSet::new(shape, classes)
}

/// Reads the pictures of one class.
pub(super) fn read_class(
    name: String,
    official: Option<Split>,
    files: &[PathBuf],
    shape: ImageShape,
) -> Result<ImageClass, EpisodeError> {
    let mut pixels = Vec::new();
    for file in files {
        let image = decode_file(file)?;
        pixels.extend(fit(&image, shape));
    }
    Ok(ImageClass {
        name,
        pixels,
        official,
    })
}

/// Collects, in order of names, every folder below `folder` that directly holds pictures.
///
/// # Errors
/// A folder that cannot be read, an empty one, one that a link leads to a second time.
pub(crate) fn find_classes(
    root: &Path,
    folder: &Path,
    depth: usize,
    classes: &mut Vec<(String, Vec<PathBuf>)>,
) -> Result<(), EpisodeError> {
    find_below(root, folder, depth, classes, &mut BTreeSet::new())
}

/// The same; `seen` holds the folders that have been read, under their names without links: one
/// read twice would be two classes with the same images.
fn find_below(
    root: &Path,
    folder: &Path,
    depth: usize,
    classes: &mut Vec<(String, Vec<PathBuf>)>,
    seen: &mut BTreeSet<PathBuf>,
) -> Result<(), EpisodeError> {
    let unreadable = |cause| EpisodeError::unreadable(folder, cause);
    let place = fs::canonicalize(folder).map_err(unreadable)?;
    if seen.contains(&place) {
        let cause = format!("a link to {}, which is read already", place.display());
        return Err(EpisodeError::unreadable(folder, cause));
    }
    seen.insert(place);
    let mut entries = fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    entries.sort();
    let is_hidden = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'))
    };
    entries.retain(|path| !is_hidden(path));
    let (folders, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| path.is_dir());
    let images: Vec<PathBuf> = files.into_iter().filter(|path| is_picture(path)).collect();
    if images.len() > MAX_IMAGES {
        return Err(unreadable_count(folder));
    }
    if !images.is_empty() && folder != root {
        let name = folder
            .strip_prefix(root)
            .unwrap_or(folder)
            .to_string_lossy()
            .replace('\\', "/");
        classes.push((name, images));
    } else if images.is_empty() && folders.is_empty() && folder != root {
        return Err(EpisodeError::BadClass {
            class: folder.display().to_string(),
            cause: "an empty folder, expected PNG or JPEG images".to_owned(),
        });
    }
    if depth > 0 {
        for inner in folders {
            find_below(root, &inner, depth - 1, classes, seen)?;
        }
    }
    Ok(())
}

fn unreadable_count(folder: &Path) -> EpisodeError {
    EpisodeError::unreadable(folder, format!("more than {MAX_IMAGES} images"))
}

pub(crate) fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["png", "jpg", "jpeg"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}
