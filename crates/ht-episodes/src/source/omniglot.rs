//! Omniglot, in the layouts that people have it in: npz, the original archives, folders.
//!
//! In all of them a class is one character of one alphabet, drawn by 20 hands as black ink
//! on white paper, 105 x 105. Images become bright ink on black, resized by Lanczos.

use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage};
use serde::Deserialize;

use super::archive::{check_claim, open_archive, open_array, open_table};
use super::decode::{check_fitted, decode_file, decode_small, fit};
use super::npy::NpyElement;
use super::{folder, npy};
use crate::{EpisodeError, ImageClass, ImageSet, ImageShape};

const EXPECTED: &str = "images_background.npz and images_evaluation.npz, or \
                        images_background.zip and images_evaluation.zip, or folders \
                        <Alphabet>/character<NN> with PNG images";

/// Subfolders that other libraries keep the set in.
const PLACES: [&str; 4] = ["", "omniglot", "omniglot-py", "python"];

/// The files of the set without their endings, in their official order.
const BACKGROUND: &str = "images_background";
const SMALL_BACKGROUNDS: [&str; 2] = ["images_background_small1", "images_background_small2"];
const EVALUATION: &str = "images_evaluation";

/// Drawings are tiny; one that is not is no drawing.
const MAX_FILE_BYTES: u64 = 1 << 20;
const MAX_SIDE: usize = 1024;
const MAX_DRAWINGS: usize = 1_000_000;

/// Reads Omniglot from `root` or one of its usual subfolders.
pub(super) fn load(root: &Path, shape: ImageShape) -> Result<ImageSet, EpisodeError> {
    let places = || PLACES.iter().map(|place| root.join(place));
    for place in places() {
        let npz = files_named(&place, "npz");
        if !npz.is_empty() {
            let mut classes = Vec::new();
            for file in &npz {
                read_npz(file, shape, &mut classes)?;
            }
            check_both(&place, &npz)?;
            rename(&mut classes, &place.join("classes.csv"))?;
            return ImageSet::new(shape, classes);
        }
    }
    for place in places() {
        let archives = files_named(&place, "zip");
        if !archives.is_empty() {
            let mut classes = Vec::new();
            for file in &archives {
                read_zip(file, shape, &mut classes)?;
            }
            check_both(&place, &archives)?;
            return ImageSet::new(shape, classes);
        }
    }
    for place in places().filter(|place| place.is_dir()) {
        let classes = read_folders(&place, shape)?;
        if !classes.is_empty() {
            return ImageSet::new(shape, classes);
        }
    }
    Err(EpisodeError::MissingDataSet {
        name: "omniglot",
        path: root.to_owned(),
        expected: EXPECTED,
    })
}

/// The sets' files in their official order: background before evaluation. Files of other names, as a
/// second download has them, are none: they would hold the same characters again.
fn files_named(place: &Path, extension: &str) -> Vec<PathBuf> {
    let file = |stem: &str| {
        let path = place.join(format!("{stem}.{extension}"));
        path.symlink_metadata().is_ok().then_some(path)
    };
    // The small background archives repeat characters of the large one.
    let mut files = match file(BACKGROUND) {
        Some(background) => vec![background],
        None => SMALL_BACKGROUNDS.into_iter().filter_map(file).collect(),
    };
    files.extend(file(EVALUATION));
    files
}

/// Refuses one of the two parts without the other: a seeded split of fewer classes is another one,
/// and a model would be tested on classes that it was trained on. A small background is asked for
/// by name and may stand alone.
fn check_both(place: &Path, found: &[PathBuf]) -> Result<(), EpisodeError> {
    let is_there = |part: &str| {
        let mut stems = found.iter().filter_map(|path| path.file_stem());
        stems.any(|stem| stem == part)
    };
    let (missing, there) = match (is_there(BACKGROUND), is_there(EVALUATION)) {
        (true, false) => (EVALUATION, BACKGROUND),
        (false, true) if !SMALL_BACKGROUNDS.into_iter().any(is_there) => (BACKGROUND, EVALUATION),
        _ => return Ok(()),
    };
    let extension = found.iter().find_map(|path| path.extension());
    let named = |stem: &str| match extension {
        Some(extension) => Path::new(stem).with_extension(extension),
        None => PathBuf::from(stem),
    };
    let cause = format!(
        "it is not there, but {} is: expected both",
        named(there).display()
    );
    Err(EpisodeError::unreadable(place.join(named(missing)), cause))
}

/// Gives the rows of the npz files the names in the `classes.csv` that may lie beside them.
fn rename(classes: &mut [ImageClass], path: &Path) -> Result<(), EpisodeError> {
    #[derive(Deserialize)]
    struct Named {
        /// Its place, if the table tells it.
        row: Option<usize>,
        /// `background` or `evaluation`, if the table tells it.
        set: Option<String>,
        alphabet: String,
        character: String,
    }
    if !path.is_file() {
        return Ok(());
    }
    let bad = |cause: csv::Error| EpisodeError::unreadable(path, cause);
    let rows = open_table(path)?
        .into_deserialize()
        .take(MAX_DRAWINGS)
        .collect::<Result<Vec<Named>, _>>()
        .map_err(bad)?;
    if rows.len() != classes.len() {
        let cause = format!(
            "names {} classes, but the npz files hold {}",
            rows.len(),
            classes.len()
        );
        return Err(EpisodeError::unreadable(path, cause));
    }
    for (place, (class, row)) in classes.iter_mut().zip(rows).enumerate() {
        // The first line is the heading.
        let bad =
            |cause: String| EpisodeError::unreadable(path, format!("line {}: {cause}", place + 2));
        if let Some(found) = row.row.filter(|&found| found != place) {
            let cause = format!("row {found}, expected {place}: the rows are not in their order");
            return Err(bad(cause));
        }
        let drawn = class.name.trim_start_matches("images_");
        let is_of = |set: &String| drawn.starts_with(set.trim_start_matches("images_"));
        if let Some(set) = row.set.filter(|set| !is_of(set)) {
            let (file, _) = class.name.rsplit_once('/').unwrap_or_default();
            return Err(bad(format!(
                "set {set:.80}, but its drawings are of {file}.npz"
            )));
        }
        class.name = format!("{}/{}", row.alphabet, row.character);
    }
    Ok(())
}

/// Reads `images.npy` of an npz file: [classes, drawers, side, side], 0 is ink.
fn read_npz(
    path: &Path,
    shape: ImageShape,
    classes: &mut Vec<ImageClass>,
) -> Result<(), EpisodeError> {
    let bad = |cause: String| EpisodeError::unreadable(path, cause);
    let mut archive = open_archive(path).map_err(bad)?;
    let mut array = open_array(&mut archive, "images.npy").map_err(bad)?;
    let n_bytes = array.size();
    let header = npy::read_header(&mut array).map_err(bad)?;
    if header.element == NpyElement::Object {
        return Err(bad(
            "npy array of objects, another type than |b1 or |u1".to_owned()
        ));
    }
    let &[n_classes, n_drawers, height, width] = header.shape.as_slice() else {
        return Err(bad(format!(
            "array of shape {:?}, expected [classes, drawers, height, width]",
            header.shape
        )));
    };
    let n_drawings = n_classes.saturating_mul(n_drawers);
    if height.max(width) > MAX_SIDE || n_drawings > MAX_DRAWINGS || height * width == 0 {
        return Err(bad(format!(
            "array of shape {:?} is out of bounds",
            header.shape
        )));
    }
    check_claim(&header.shape, n_bytes).map_err(bad)?;
    check_fitted(n_drawings, shape).map_err(bad)?;
    let mut paper = vec![0u8; height * width];
    for row in 0..n_classes {
        // Not reserved: the header's counts are only believed as far as there are data.
        let mut pixels = Vec::new();
        for _ in 0..n_drawers {
            array
                .read_exact(&mut paper)
                .map_err(|cause| bad(cause.to_string()))?;
            let ink = paper
                .iter()
                .map(|&p| if p == 0 { 255 } else { 0 })
                .collect();
            pixels.extend(prepare(ink, height, width, shape));
        }
        let set = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{set}/{row:04}");
        classes.push(ImageClass {
            name,
            pixels,
            official: None,
        });
    }
    Ok(())
}

/// Reads an original archive: `images_background/<Alphabet>/character<NN>/<file>.png`.
fn read_zip(
    path: &Path,
    shape: ImageShape,
    classes: &mut Vec<ImageClass>,
) -> Result<(), EpisodeError> {
    let bad = |cause: String| EpisodeError::unreadable(path, cause);
    let mut archive = open_archive(path).map_err(bad)?;
    let mut names: Vec<String> = archive
        .file_names()
        .filter_map(|name| name.ok().map(Cow::into_owned))
        .filter(|name| folder::is_picture(Path::new(name)) && !name.starts_with("__MACOSX"))
        .collect();
    names.sort();
    // Nothing is unpacked to disk, but such a file is none that anyone made honestly.
    if let Some(name) = names
        .iter()
        .find(|name| name.split(['/', '\\']).any(|part| part == ".."))
    {
        return Err(bad(format!(
            "{name:?}, a name that leads out of the archive"
        )));
    }
    if names.is_empty() {
        return Err(bad("no PNG image in the archive".to_owned()));
    }
    check_fitted(names.len(), shape).map_err(bad)?;
    let first = classes.len();
    for name in names {
        let mut bytes = Vec::new();
        archive
            .by_name(&name)
            .map_err(|cause| bad(format!("{name}: {cause}")))?
            .take(MAX_FILE_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|cause| bad(format!("{name}: {cause}")))?;
        let image = decode_small(&bytes).map_err(|cause| bad(format!("{name}: {cause}")))?;
        let class = class_of(&name).ok_or_else(|| {
            bad(format!(
                "{name}, expected <set>/<Alphabet>/<character>/<file>.png"
            ))
        })?;
        let of_file = &classes[first..];
        if of_file.last().is_none_or(|last| last.name != class) {
            classes.push(ImageClass {
                name: class,
                pixels: Vec::new(),
                official: None,
            });
        }
        if let Some(last) = classes.last_mut() {
            last.pixels.extend(invert_and_prepare(&image, shape));
        }
    }
    Ok(())
}

/// `<Alphabet>/<character>` of a path that ends in them and a file.
fn class_of(path: &str) -> Option<String> {
    let mut parts = path.rsplit('/').skip(1);
    let character = parts.next()?;
    let alphabet = parts.next()?;
    Some(format!("{alphabet}/{character}"))
}

/// Reads folders as the archives unpack to, with or without the two sets' folders.
fn read_folders(place: &Path, shape: ImageShape) -> Result<Vec<ImageClass>, EpisodeError> {
    let sets: Vec<PathBuf> = [BACKGROUND, EVALUATION]
        .iter()
        .map(|set| place.join(set))
        .filter(|set| set.is_dir())
        .collect();
    let roots = if sets.is_empty() {
        vec![place.to_owned()]
    } else {
        check_both(place, &sets)?;
        sets
    };
    let mut found = Vec::new();
    for root in roots {
        found.extend(folder::find_classes_among_others(&root, 2)?.classes);
    }
    found.retain(|(name, _)| name.contains('/'));
    let n_drawings = found.iter().map(|(_, files)| files.len()).sum();
    check_fitted(n_drawings, shape).map_err(|cause| EpisodeError::unreadable(place, cause))?;
    let mut classes = Vec::new();
    for (name, files) in found {
        let mut pixels = Vec::new();
        for file in files {
            let image = decode_file(&file)?;
            pixels.extend(invert_and_prepare(&image, shape));
        }
        classes.push(ImageClass {
            name,
            pixels,
            official: None,
        });
    }
    Ok(classes)
}

fn invert_and_prepare(image: &DynamicImage, shape: ImageShape) -> Vec<u8> {
    let mut grey = image.to_luma8();
    image::imageops::invert(&mut grey);
    fit(&DynamicImage::ImageLuma8(grey), shape)
}

fn prepare(ink: Vec<u8>, height: usize, width: usize, shape: ImageShape) -> Vec<u8> {
    let image = GrayImage::from_raw(width as u32, height as u32, ink)
        .unwrap_or_else(|| GrayImage::new(width as u32, height as u32));
    fit(&DynamicImage::ImageLuma8(image), shape)
}
