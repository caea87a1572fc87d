//! tieredImageNet in small: PNG pickles, npz files and chunks, whole and damaged.

use std::io::Write;
use std::path::Path;

use ht_episodes::{ClassSplit, ImageSource, Split, SplitConfig};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::pickle_writer::{Dialect, Py, dict, ints, pickle, text};
use crate::pictures::{SIDE, described, load, npy, picture, planes, png, refused, write};

const SOURCE: ImageSource = ImageSource::TieredImagenet { image_size: SIDE };

/// (name in files, labels of the pictures); picture i of a part is number i of its label.
const PARTS: [(&str, &[i64]); 3] = [("train", &[1, 0, 1]), ("val", &[0]), ("test", &[0, 0])];

fn labels(labels: &[i64]) -> Py {
    let bytes = labels.iter().flat_map(|label| label.to_le_bytes());
    Py::Array("i8", vec![labels.len()], bytes.collect())
}

fn pngs(labels: &[i64]) -> Py {
    let picture = |(index, label): (usize, &i64)| {
        let png = png(*label as usize, index);
        Py::Array("u1", vec![png.len()], png)
    };
    Py::List(labels.iter().enumerate().map(picture).collect())
}

fn write_pngs(root: &Path, dialect: Dialect, with_words: bool) {
    for (part, of_part) in PARTS {
        let images = pickle(dialect, &pngs(of_part));
        write(root, &format!("{part}_images_png.pkl"), images);
        let mut entries = vec![
            ("label_specific", labels(of_part)),
            ("label_general", labels(&vec![0; of_part.len()])),
        ];
        if with_words {
            let words = Py::List(vec![text("crane"), text("crane")]);
            entries.push(("label_specific_str", words));
        }
        let path = format!("{part}_labels.pkl");
        write(root, &path, pickle(dialect, &dict(entries)));
    }
}

fn npz(array: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive
        .start_file("images.npy", SimpleFileOptions::default())
        .expect("entry");
    archive.write_all(array).expect("written");
    archive.finish().expect("finished").into_inner()
}

/// Blue, green, red.
fn write_npz(root: &Path) {
    for (part, of_part) in PARTS {
        let mut pixels: Vec<u8> = of_part
            .iter()
            .enumerate()
            .flat_map(|(index, label)| picture(*label as usize, index))
            .collect();
        pixels.chunks_exact_mut(3).for_each(<[u8]>::reverse);
        let array = npy("|u1", &[of_part.len(), SIDE, SIDE, 3], &pixels);
        write(root, &format!("{part}_images.npz"), npz(&array));
        let entries = dict(vec![("labels", ints(of_part))]);
        let path = format!("{part}_labels.pkl");
        write(root, &path, pickle(Dialect::Protocol2, &entries));
    }
}

#[test]
fn png_pickles_and_npz_files_are_the_same_set() {
    let layouts: [&dyn Fn(&Path); 4] = [
        &|root| write_pngs(root, Dialect::Python2, false),
        &|root| write_pngs(root, Dialect::Protocol2, false),
        &|root| write_pngs(root, Dialect::Protocol4, false),
        &write_npz,
    ];
    for layout in layouts {
        let set = load(&SOURCE, layout).expect("loads");
        let found = described(&set);
        let names: Vec<&str> = found.iter().map(|(name, _, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["train/000", "train/001", "validation/000", "test/000"]
        );
        assert_eq!(found[0].2, [planes(0, 1)]);
        assert_eq!(found[1].2, [planes(1, 0), planes(1, 2)]);
        assert_eq!(found[3].1, Some(Split::Test));
    }
    let named = load(&SOURCE, |root| write_pngs(root, Dialect::Protocol4, true)).expect("loads");
    assert_eq!(named.class_name(1), "train/001 crane");
}

#[test]
fn the_released_codes_chunks() {
    let class = |class: usize| {
        let n_images = 1 + class % 2;
        let pixels = (0..n_images)
            .flat_map(|index| picture(class, index))
            .collect();
        Py::Array("u1", vec![n_images, SIDE, SIDE, 3], pixels)
    };
    let chunk = |classes: std::ops::Range<usize>| {
        let (n_classes, classes) = (classes.len(), classes.map(class).collect());
        let objects = pickle(Dialect::Protocol4, &Py::Objects(classes));
        npy("|O", &[n_classes], &objects)
    };
    let set = load(&SOURCE, |root| {
        write(root, "tieredimagenet/b.npy", chunk(351..608));
        write(root, "tieredimagenet/a.npy", chunk(0..351));
    });
    let set = set.expect("loads");
    let split = ClassSplit::new(&SplitConfig::Official {}, &set).expect("all have one");
    assert_eq!(
        Split::ALL.map(|part| split.classes(part).len()),
        [351, 97, 160]
    );
    assert_eq!(set.class_name(600), "0600");
    assert_eq!(set.image(600, 0), planes(600, 0));
    assert_eq!((set.n_images(600), set.n_images(601)), (1, 2));
    refused(
        &SOURCE,
        |root| write(root, "tieredimagenet/a.npy", chunk(0..3)),
        &["tieredimagenet", "3 classes, expected [351, 97, 160]"],
    );
    let whole = chunk(0..2);
    for len in (0..whole.len()).step_by(37) {
        let part = &whole[..len];
        refused(
            &SOURCE,
            |root| write(root, "tieredimagenet/a.npy", part),
            &["a.npy"],
        );
    }
}

#[test]
fn damaged_files_are_refused() {
    let with = |path: &'static str, value: Py| {
        move |root: &Path| {
            write_pngs(root, Dialect::Protocol4, true);
            write(root, path, pickle(Dialect::Protocol4, &value));
        }
    };
    let labelled = |key, value| with("test_labels.pkl", dict(vec![(key, value)]));
    let words = |label| {
        let entries = vec![
            ("label_specific", labels(&[0, label])),
            ("label_specific_str", Py::List(vec![text("crane")])),
        ];
        with("test_labels.pkl", dict(entries))
    };
    refused(&SOURCE, words(1), &["label 1, expected 0 to 0"]);
    refused(&SOURCE, words(-1), &["label -1, expected 0 to 0"]);
    refused(
        &SOURCE,
        labelled("labels", ints(&[0, 1 << 30])),
        &["label 1073741824"],
    );
    refused(
        &SOURCE,
        labelled("labels", ints(&[0])),
        &["test_images_png.pkl", "2 pictures, but 1"],
    );
    refused(
        &SOURCE,
        labelled("label", ints(&[0])),
        &["test_labels.pkl", "expected label_specific or labels"],
    );
    refused(
        &SOURCE,
        with(
            "val_images_png.pkl",
            Py::List(vec![Py::Array("u1", vec![3], vec![1, 2, 3])]),
        ),
        &["val_images_png.pkl", "picture 0"],
    );
    refused(
        &SOURCE,
        |root: &Path| {
            write_npz(root);
            std::fs::remove_file(root.join("val_labels.pkl")).expect("removed");
        },
        &["val_labels.pkl"],
    );
    let with_array = |array: Vec<u8>| {
        move |root: &Path| {
            write_npz(root);
            write(root, "test_images.npz", npz(&array));
        }
    };
    let file = "test_images.npz";
    refused(
        &SOURCE,
        with_array(npy("|u1", &[2, 8, 8, 3], &[0; 200])),
        &[file, "but the entry has"],
    );
    refused(
        &SOURCE,
        with_array(npy("|u1", &[9, 8, 8, 3], &[0; 9 * 192])),
        &[file, "9 pictures"],
    );
    refused(
        &SOURCE,
        with_array(npy("|u1", &[2, 8, 8], &[0; 128])),
        &[file, "[2, 8, 8]"],
    );
    refused(
        &SOURCE,
        with_array(npy("|u1", &[2, 1 << 40, 1 << 40, 3], &[0; 128])),
        &[file, "but the entry has"],
    );
    refused(
        &SOURCE,
        with_array(npy("|u1", &[2, 2000, 1, 3], &[0; 12_000])),
        &[file, "side"],
    );
}
