//! Images that lie in class folders: each folder that holds pictures is a class.
//!
//! Nothing that looks like a class is passed over in silence: a folder without pictures is an error,
//! and what else is not read is listed for whoever can tell the user.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::decode::{check_fitted, decode_file, fit};
use crate::{EpisodeError, ImageClass, ImageSet, ImageShape, Split};

/// Folders inside folders that are searched for classes.
const MAX_DEPTH: usize = 4;
/// Pictures that are read at most.
const MAX_IMAGES: usize = 5_000_000;
/// Endings of pictures that are read.
const PICTURES: [&str; 3] = ["png", "jpg", "jpeg"];
/// Endings of pictures that are not read, as people have them beside those that are.
const OTHER_PICTURES: [&str; 15] = [
    "avif", "bmp", "dng", "gif", "heic", "heif", "jfif", "jp2", "jxl", "raw", "svg", "tga", "tif",
    "tiff", "webp",
];

/// The pictures of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClassFiles {
    /// Name of the class.
    pub(super) name: String,
    /// Its part of the data set's own split, if it has one.
    pub(super) official: Option<Split>,
    /// Its pictures, in order.
    pub(super) files: Vec<PathBuf>,
}

/// Class folders, and what lies among them that is not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassFolders {
    /// Each folder that directly holds pictures, by its path below the root, and its pictures, in
    /// order of names.
    pub classes: Vec<(String, Vec<PathBuf>)>,
    /// Pictures of other kinds, pictures in no class folder, and folders that lie too deep.
    pub left_out: Vec<PathBuf>,
}

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
    let found = find_classes(root, MAX_DEPTH)?;
    if found.classes.is_empty() {
        return Err(missing());
    }
    let of_class = |(name, files)| ClassFiles {
        name,
        official: None,
        files,
    };
    let classes = found.classes.into_iter().map(of_class).collect();
    let set = ImageSet::new(shape, read_classes(root, classes, shape)?)?;
    Ok(set.leaving_out(found.left_out))
}

/// Reads the pictures of classes whose files lie in, or are named by, `place`.
pub(super) fn read_classes(
    place: &Path,
    classes: Vec<ClassFiles>,
    shape: ImageShape,
) -> Result<Vec<ImageClass>, EpisodeError> {
    let n_images = classes.iter().map(|class| class.files.len()).sum();
    check_fitted(n_images, shape).map_err(|cause| EpisodeError::unreadable(place, cause))?;
    let read_class = |class: ClassFiles| {
        let mut pixels = Vec::new();
        for file in &class.files {
            pixels.extend(fit(&decode_file(file)?, shape));
        }
        Ok(ImageClass {
            name: class.name,
            pixels,
            official: class.official,
        })
    };
    classes.into_iter().map(read_class).collect()
}

/// Finds, in order of names, every folder below `root` that directly holds pictures.
///
/// # Errors
/// A folder that cannot be read, one without pictures in it or below it, one that a link leads to
/// a second time.
pub(crate) fn find_classes(root: &Path, depth: usize) -> Result<ClassFolders, EpisodeError> {
    let mut search = Search::new(root, true);
    search.visit(root, depth)?;
    Ok(search.found)
}

/// The same where other folders may lie among those of the classes, if they are not empty.
pub(super) fn find_classes_among_others(
    root: &Path,
    depth: usize,
) -> Result<ClassFolders, EpisodeError> {
    let mut search = Search::new(root, false);
    search.visit(root, depth)?;
    Ok(search.found)
}

/// The pictures directly in one class folder of `root`.
pub(super) fn find_class(root: &Path, name: &str) -> Result<Vec<PathBuf>, EpisodeError> {
    let mut search = Search::new(root, true);
    search.visit(&root.join(name), 0)?;
    let classes = search.found.classes.into_iter();
    Ok(classes.flat_map(|(_, files)| files).collect())
}

/// A walk through folders.
struct Search<'a> {
    root: &'a Path,
    /// Whether every folder must lead to a picture.
    is_strict: bool,
    /// Folders that have been read, under their names without links: one read twice would be two
    /// classes with the same images.
    seen: BTreeSet<PathBuf>,
    n_images: usize,
    found: ClassFolders,
}

impl<'a> Search<'a> {
    fn new(root: &'a Path, is_strict: bool) -> Self {
        Self {
            root,
            is_strict,
            seen: BTreeSet::new(),
            n_images: 0,
            found: ClassFolders::default(),
        }
    }

    /// Reads a folder, and folders in it down to `depth`.
    fn visit(&mut self, folder: &Path, depth: usize) -> Result<(), EpisodeError> {
        let unreadable = |cause| EpisodeError::unreadable(folder, cause);
        let place = fs::canonicalize(folder).map_err(unreadable)?;
        if self.seen.contains(&place) {
            let cause = format!("a link to {}, which is read already", place.display());
            return Err(EpisodeError::unreadable(folder, cause));
        }
        self.seen.insert(place);
        let Listing {
            folders,
            pictures,
            others,
        } = Listing::of(folder)?;
        self.n_images += pictures.len();
        if self.n_images > MAX_IMAGES {
            let cause = format!("more than {MAX_IMAGES} images, expected at most as many");
            return Err(EpisodeError::unreadable(self.root, cause));
        }
        let is_root = folder == self.root;
        let is_empty = pictures.is_empty() && folders.is_empty();
        let n_before = self.found.classes.len();
        self.found.left_out.extend(other_pictures(&others));
        if is_root {
            self.found.left_out.extend(pictures);
        } else if !pictures.is_empty() {
            let name = folder.strip_prefix(self.root).unwrap_or(folder);
            let name = name.to_string_lossy().replace('\\', "/");
            self.found.classes.push((name, pictures));
        }
        if depth > 0 {
            for inner in &folders {
                self.visit(inner, depth - 1)?;
            }
        } else {
            self.found.left_out.extend(folders.iter().cloned());
        }
        let gave_none = self.found.classes.len() == n_before;
        if !is_root && gave_none && (self.is_strict || is_empty) {
            return Err(without_pictures(folder, depth, &others, &folders));
        }
        Ok(())
    }
}

/// What a folder directly holds, in order of names, without what is hidden.
pub(crate) struct Listing {
    /// Folders.
    pub(crate) folders: Vec<PathBuf>,
    /// Files with the ending of a picture that can be read.
    pub(crate) pictures: Vec<PathBuf>,
    /// Other files.
    pub(crate) others: Vec<PathBuf>,
}

impl Listing {
    /// Lists a folder.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub(crate) fn of(folder: &Path) -> Result<Self, EpisodeError> {
        let unreadable = |cause| EpisodeError::unreadable(folder, cause);
        let mut entries = fs::read_dir(folder)
            .map_err(unreadable)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        entries.sort();
        entries.retain(|path| !is_hidden(path));
        let (folders, files): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|path| path.is_dir());
        let (pictures, others) = files.into_iter().partition(|path| is_picture(path));
        Ok(Self {
            folders,
            pictures,
            others,
        })
    }
}

/// Whether a file or folder is none that a person put there.
fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name == "__MACOSX"
}

/// Whether a file has the ending of a picture that can be read.
pub(crate) fn is_picture(path: &Path) -> bool {
    ends_in(path, &PICTURES)
}

/// Those of some files that are pictures which cannot be read.
pub(crate) fn other_pictures(files: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    files
        .iter()
        .filter(|path| ends_in(path, &OTHER_PICTURES))
        .cloned()
}

fn ends_in(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|extension| {
        endings
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// The error of a folder that should have led to a picture.
fn without_pictures(
    folder: &Path,
    depth: usize,
    others: &[PathBuf],
    folders: &[PathBuf],
) -> EpisodeError {
    const PLACES: &str = "expected PNG or JPEG pictures directly in it";
    let mut parts = vec![match (others.is_empty() && folders.is_empty(), depth) {
        (true, _) => "an empty folder, expected PNG or JPEG pictures".to_owned(),
        (false, 0) => format!("no picture, {PLACES}"),
        (false, depth) => format!("no picture, {PLACES} or at most {depth} folders deeper"),
    }];
    parts.extend(other_kinds(others));
    if depth == 0 && !folders.is_empty() {
        let name = |path: &PathBuf| path.file_name().map(|name| name.display().to_string());
        let names: Vec<String> = folders.iter().filter_map(name).take(3).collect();
        let more = if folders.len() > 3 { ", .." } else { "" };
        let names = names.join(", ");
        parts.push(format!("folders that are not searched: {names}{more}"));
    }
    EpisodeError::BadClass {
        class: folder.display().to_string(),
        cause: parts.join("; "),
    }
}

/// How many of some files that are no pictures there are of each kind, in words; none of none.
pub(crate) fn other_kinds(files: &[PathBuf]) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for file in files {
        let kind = file.extension().map_or_else(
            || "without ending".to_owned(),
            |ending| format!(".{}", ending.to_string_lossy().to_lowercase()),
        );
        *counts.entry(kind).or_default() += 1;
    }
    let shown = counts.iter().take(5);
    let mut shown: Vec<String> = shown.map(|(kind, n)| format!("{n} {kind}")).collect();
    if counts.len() > shown.len() {
        shown.push("..".to_owned());
    }
    let shown = shown.join(", ");
    (!files.is_empty()).then(|| format!("files of other kinds: {shown}"))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn write(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, "").expect("written");
        }
    }

    /// Names of the classes with their numbers of pictures, and what is left out below the root.
    fn found(files: &[&str], depth: usize) -> Result<[Vec<String>; 2], EpisodeError> {
        let folder = TempDir::new().expect("a folder");
        write(folder.path(), files);
        let ClassFolders { classes, left_out } = find_classes(folder.path(), depth)?;
        let left_out = left_out.iter().map(|path| {
            let below = path.strip_prefix(folder.path()).expect("below the root");
            below.display().to_string()
        });
        let class = |(name, files): (String, Vec<PathBuf>)| format!("{name} {}", files.len());
        Ok([classes.into_iter().map(class).collect(), left_out.collect()])
    }

    #[test]
    fn what_is_no_picture_is_passed_over_and_other_pictures_are_listed() {
        let files = [
            "README.md",
            "loose.png",
            "birds/a.jpg",
            "birds/b.webp",
            "birds/c.HEIC",
            "birds/labels.csv",
            "birds/Thumbs.db",
            "birds/.DS_Store",
            "birds/2024/d.jpg",
            "bees/a.PNG",
            "__MACOSX/birds/._a.jpg",
            ".git/HEAD",
        ];
        let [classes, left_out] = found(&files, 1).expect("two classes");
        assert_eq!(classes, ["bees 1", "birds 1"]);
        assert_eq!(
            left_out,
            ["loose.png", "birds/b.webp", "birds/c.HEIC", "birds/2024"]
        );
    }

    #[test]
    fn alphabets_may_be_nested() {
        let files = ["Greek/a/1.png", "Greek/b/1.png", "Latin/a/1.png"];
        let [classes, left_out] = found(&files, 2).expect("three classes");
        assert_eq!(classes, ["Greek/a 1", "Greek/b 1", "Latin/a 1"]);
        assert_eq!(left_out, [""; 0]);
    }

    #[test]
    fn a_folder_without_pictures_is_named_with_what_it_holds() {
        let fails = |more: &[&str], depth: usize, expected: &[&str]| {
            let files = [&["bees/a.png", "cats/a.png"], more].concat();
            let error = found(&files, depth).expect_err(expected[0]).to_string();
            for words in expected {
                assert!(error.contains(words), "{error:?} lacks {words:?}");
            }
        };
        fails(
            &["birds/2024/a.jpg", "birds/2025/a.jpg"],
            1,
            &["birds: no picture", "directly in it; folders", "2024, 2025"],
        );
        fails(
            &["birds/a.webp", "birds/b.WEBP", "birds/c", "birds/d.txt"],
            1,
            &["birds: no picture", "1 .txt, 2 .webp, 1 without ending"],
        );
        fails(
            &["birds/a/b/c/d/e.jpg"],
            3,
            &["birds/a/b: no picture", "not searched: c"],
        );
        fails(
            &["birds/.DS_Store"],
            1,
            &["birds: an empty folder, expected PNG or JPEG"],
        );
    }
}
