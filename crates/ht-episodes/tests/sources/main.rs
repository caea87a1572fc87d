//! Data sets as people have them: the same Omniglot from npz, zip and folders, class folders
//! with any pictures, and the real sets where they are at hand.

mod cifar;
mod mini_imagenet;
mod npy_cache;
mod pickle_writer;
mod pictures;
mod sizes;
mod tiered_imagenet;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use ht_episodes::{
    Channels, ClassRotation, ClassSplit, EpisodeSampler, EpisodeSpec, ImageSet, ImageSource, Split,
    SplitConfig,
};
use image::{GrayImage, ImageFormat, Luma};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const SIDE: u32 = 105;
const N_DRAWERS: u32 = 4;

/// (set, alphabet, character): two alphabets of background, one of evaluation.
const CHARACTERS: [(&str, &str, &str); 5] = [
    ("images_background", "Angelic", "character01"),
    ("images_background", "Angelic", "character02"),
    ("images_background", "Braille", "character01"),
    ("images_evaluation", "Manipuri", "character01"),
    ("images_evaluation", "Manipuri", "character02"),
];

/// Black ink on white paper: a bar that tells class and drawer.
fn drawing(class: usize, drawer: u32) -> GrayImage {
    GrayImage::from_fn(SIDE, SIDE, |x, y| {
        let left = 10 + 15 * class as u32;
        let is_ink = (left..left + 12).contains(&x) && y > 10 * drawer && y < 90;
        Luma([if is_ink { 0 } else { 255 }])
    })
}

fn png(image: &GrayImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, ImageFormat::Png)
        .expect("encoded");
    bytes.into_inner()
}

/// Path inside an archive or folder and bytes of every picture of a set.
fn pictures(set: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for (class, (of, alphabet, character)) in CHARACTERS.into_iter().enumerate() {
        for drawer in (1..=N_DRAWERS).filter(|_| of == set) {
            let path = format!(
                "{of}/{alphabet}/{character}/{:04}_{drawer:02}.png",
                class + 1
            );
            found.push((path, png(&drawing(class, drawer))));
        }
    }
    found
}

fn write_folders(root: &Path) {
    for set in ["images_background", "images_evaluation"] {
        for (path, bytes) in pictures(set) {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, bytes).expect("written");
        }
    }
}

fn write_archives(root: &Path) {
    for set in ["images_background", "images_evaluation"] {
        let mut archive =
            ZipWriter::new(File::create(root.join(format!("{set}.zip"))).expect("made"));
        for (path, bytes) in pictures(set) {
            archive
                .start_file(path, SimpleFileOptions::default())
                .expect("entry");
            archive.write_all(&bytes).expect("written");
        }
        archive.finish().expect("finished");
    }
}

/// As NumPy writes it, with the trap of the published files: true is stored as 255.
fn write_npz(root: &Path) {
    for set in ["images_background", "images_evaluation"] {
        let classes: Vec<usize> = (0..CHARACTERS.len())
            .filter(|&c| CHARACTERS[c].0 == set)
            .collect();
        let header = format!(
            "{{'descr': '|b1', 'fortran_order': False, 'shape': ({}, {N_DRAWERS}, {SIDE}, {SIDE}), }}\n",
            classes.len()
        );
        let mut array = b"\x93NUMPY\x01\x00".to_vec();
        array.extend((header.len() as u16).to_le_bytes());
        array.extend(header.as_bytes());
        for class in classes {
            for drawer in 1..=N_DRAWERS {
                array.extend(drawing(class, drawer).into_raw());
            }
        }
        let mut archive =
            ZipWriter::new(File::create(root.join(format!("{set}.npz"))).expect("made"));
        archive
            .start_file("images.npy", SimpleFileOptions::default())
            .expect("entry");
        archive.write_all(&array).expect("written");
        archive.finish().expect("finished");
    }
    let mut rows = vec!["row,set,alphabet,character".to_owned()];
    for (row, (set, alphabet, character)) in CHARACTERS.into_iter().enumerate() {
        let set = set.trim_start_matches("images_");
        rows.push(format!("{row},{set},{alphabet},{character}"));
    }
    fs::write(root.join("classes.csv"), rows.join("\n")).expect("written");
}

fn by_name(set: &ImageSet) -> BTreeMap<String, Vec<Vec<u8>>> {
    (0..set.n_classes())
        .map(|class| {
            let images = (0..set.n_images(class)).map(|image| set.image(class, image).to_vec());
            (set.class_name(class).to_owned(), images.collect())
        })
        .collect()
}

const OMNIGLOT: ImageSource = ImageSource::Omniglot { image_size: 28 };

#[test]
fn omniglot_is_the_same_from_npz_archives_and_folders() {
    let layouts: [fn(&Path); 3] = [write_npz, write_archives, write_folders];
    let sets = layouts.map(|write| {
        let folder = TempDir::new().expect("temporary folder");
        // One of them in a subfolder where torchvision keeps it.
        let root = folder.path().join("omniglot-py");
        fs::create_dir(&root).expect("made");
        write(&root);
        by_name(&OMNIGLOT.load(Some(folder.path())).expect("loads"))
    });
    assert_eq!(sets[0].len(), 5);
    assert_eq!(sets[0], sets[1]);
    assert_eq!(sets[0], sets[2]);
    let image = &sets[0]["Braille/character01"][0];
    assert_eq!(image.len(), 28 * 28);
    let (ink, paper) = (image.iter().max(), image.iter().min());
    assert_eq!(
        (ink, paper),
        (Some(&255), Some(&0)),
        "ink is bright on black"
    );
    assert!(image[0] < 10, "the corner is paper");
}

#[test]
fn copies_of_the_archives_are_not_read() {
    let folder = TempDir::new().expect("temporary folder");
    write_archives(folder.path());
    for copy in [
        "images_background (1).zip",
        "images_background-old.zip",
        "images_background_small1.zip",
        "images_background_small3.zip",
        "images_background (1).npz",
    ] {
        let original = folder.path().join("images_background.zip");
        fs::copy(original, folder.path().join(copy)).expect("copied");
    }
    let set = OMNIGLOT.load(Some(folder.path())).expect("loads");
    assert_eq!(set.n_classes(), CHARACTERS.len());
}

#[test]
fn small_archives_stand_in_for_the_large_one_and_share_no_class() {
    let folder = TempDir::new().expect("temporary folder");
    write_archives(folder.path());
    let file = |name: &str| folder.path().join(format!("images_background{name}.zip"));
    fs::copy(file(""), file("_small1")).expect("copied");
    fs::rename(file(""), file("_small2")).expect("renamed");
    let load = || OMNIGLOT.load(Some(folder.path()));
    let error = load().expect_err("each class is there twice").to_string();
    assert!(
        error.contains("class Angelic/character01") && error.contains("twice"),
        "{error}"
    );
    fs::remove_file(file("_small1")).expect("removed");
    assert_eq!(load().expect("loads").n_classes(), CHARACTERS.len());
}

/// The error of a folder that `write` has filled.
fn refused(write: impl FnOnce(&Path)) -> String {
    let folder = TempDir::new().expect("temporary folder");
    write(folder.path());
    let loaded = OMNIGLOT.load(Some(folder.path()));
    loaded.expect_err("refused").to_string()
}

#[test]
fn one_part_of_the_set_is_another_set() {
    let layouts: [fn(&Path); 3] = [write_npz, write_archives, write_folders];
    let parts = ["images_background", "images_evaluation"];
    for (write, ending) in layouts.into_iter().zip([".npz", ".zip", ""]) {
        for (missing, there) in [(parts[0], parts[1]), (parts[1], parts[0])] {
            let missing = format!("{missing}{ending}");
            let error = refused(|root| {
                write(root);
                fs::rename(root.join(&missing), root.join("elsewhere")).expect("moved");
            });
            let expected = format!("{missing}: it is not there, but {there}{ending} is");
            assert!(error.contains(&expected), "{error}");
        }
    }
}

#[test]
fn names_must_fit_the_rows() {
    let changed = |change: fn(&str) -> String, expected: &str| {
        let error = refused(|root| {
            write_npz(root);
            let path = root.join("classes.csv");
            let text = fs::read_to_string(&path).expect("text");
            fs::write(path, change(&text)).expect("written");
        });
        assert!(
            error.contains("classes.csv") && error.contains(expected),
            "{error}"
        );
    };
    changed(
        |text| text.lines().take(5).collect::<Vec<_>>().join("\n"),
        "names 4 classes, but the npz files hold 5",
    );
    let shuffled = |text: &str| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.swap(2, 3);
        lines.join("\n")
    };
    changed(shuffled, "line 3: row 2, expected 1");
    let other_set = |text: &str| text.replace("3,evaluation", "3,background");
    changed(
        other_set,
        "line 5: set background, but its drawings are of images_evaluation.npz",
    );
}

#[test]
fn hostile_archives_are_refused() {
    let check = |header: &str, expected: &str| {
        let folder = TempDir::new().expect("temporary folder");
        let path = folder.path().join("images_background.npz");
        let mut array = b"\x93NUMPY\x01\x00".to_vec();
        array.extend((header.len() as u16).to_le_bytes());
        array.extend(header.as_bytes());
        let mut archive = ZipWriter::new(File::create(path).expect("made"));
        archive
            .start_file("images.npy", SimpleFileOptions::default())
            .expect("entry");
        archive.write_all(&array).expect("written");
        archive.finish().expect("finished");
        let error = OMNIGLOT
            .load(Some(folder.path()))
            .expect_err("hostile")
            .to_string();
        assert!(
            error.contains("images_background.npz") && error.contains(expected),
            "{error}"
        );
    };
    let shape =
        |shape: &str| format!("{{'descr': '|b1', 'fortran_order': False, 'shape': ({shape}), }}");
    check(&shape("4000000000, 4000000000, 105, 105"), "out of bounds");
    check(&shape("1, 1, 4000000000, 4000000000"), "out of bounds");
    check(&shape("10, 20, 105, 105"), "");
    check(&shape("1, 1000000, 1024, 1024"), "");
    check(
        &shape("10, 20"),
        "expected [classes, drawers, height, width]",
    );
    check(
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "another type",
    );
}

#[test]
fn class_folders_of_any_pictures() {
    let folder = TempDir::new().expect("temporary folder");
    let write = |path: &str, width: u32, height: u32, format: ImageFormat| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        image::RgbImage::from_pixel(width, height, image::Rgb([200, 100, 0]))
            .save_with_format(path, format)
            .expect("written");
    };
    write("cat/a.png", 40, 30, ImageFormat::Png);
    write("cat/b.JPG", 10, 300, ImageFormat::Jpeg);
    write("dogs/poodle/c.jpeg", 20, 20, ImageFormat::Jpeg);
    fs::write(folder.path().join("cat/notes.txt"), "no picture").expect("written");

    let load = |channels| {
        let source = ImageSource::Folder {
            image_size: 16,
            channels,
        };
        source.load(Some(folder.path())).expect("loads")
    };
    let colour = load(Channels::Colour);
    assert_eq!(colour.class_name(0), "cat");
    assert_eq!(colour.class_name(1), "dogs/poodle");
    assert_eq!((colour.n_images(0), colour.n_images(1)), (2, 1));
    assert_eq!(colour.image(0, 0)[0], 200);
    assert_eq!(colour.image(0, 0)[256], 100);
    assert_eq!(colour.image(0, 0)[512], 0);
    assert_eq!(load(Channels::Grey).image(0, 0).len(), 256);
}

/// A skipped test says so, even where the harness captures what tests print.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The folder of real data: HT_DATA_DIR, or `../shared/data` beside the repository.
fn real_data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("HT_DATA_DIR").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    say("skipped: no real data; set HT_DATA_DIR to a folder with omniglot/ and caltech101-84/");
    None
}

#[test]
fn the_real_omniglot_from_npz_and_from_its_archive() {
    let Some(data) = real_data() else { return };
    let folder = data.join("omniglot");
    let set = OMNIGLOT.load(Some(&folder)).expect("loads");
    assert_eq!(set.n_classes(), 1623);
    assert!((0..1623).all(|class| set.n_images(class) == 20));

    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = repository.join("configs/splits/omniglot-vinyals.csv");
    let split = ClassSplit::new(&SplitConfig::File { path }, &set).expect("every class is there");
    let sizes = Split::ALL.map(|part| split.classes(part).len());
    assert_eq!(sizes, [1028, 172, 423]);
    let spec = EpisodeSpec::new(20, 5, 15);
    let sampler = EpisodeSampler::new(set.clone().into(), split, spec, ClassRotation::AsClasses);
    assert!(sampler.is_ok());

    // The small archive holds 136 of the classes, as PNG files.
    let alone = TempDir::new().expect("temporary folder");
    let name = "images_background_small1.zip";
    fs::copy(folder.join(name), alone.path().join(name)).expect("copied");
    let small = by_name(&OMNIGLOT.load(Some(alone.path())).expect("loads"));
    assert_eq!(small.len(), 136);
    let whole = by_name(&set);
    let same = small
        .iter()
        .filter(|(class, images)| whole.get(*class) == Some(*images))
        .count();
    assert_eq!(
        same, 136,
        "the two files hold the same drawings under the same names"
    );
}

#[test]
fn the_real_photographs() {
    let Some(data) = real_data() else { return };
    let source = ImageSource::Folder {
        image_size: 84,
        channels: Channels::Colour,
    };
    let set = source
        .load(Some(&data.join("caltech101-84")))
        .expect("loads");
    assert_eq!(set.n_classes(), 100);
    assert_eq!(set.shape().len(), 3 * 84 * 84);
    assert!((0..100).all(|class| set.n_images(class) >= 20));
}
