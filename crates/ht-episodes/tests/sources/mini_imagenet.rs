//! miniImageNet in small: every layout gives the same set, and damaged files are refused.

use std::path::Path;

use ht_episodes::{ClassSplit, ImageSource, Split, SplitConfig};
use tempfile::TempDir;

use crate::pickle_writer::{Dialect, Py, dict, ints, pickle, text};
use crate::pictures::{SIDE, described, load, npy, picture, planes, png, refused, write};

const SOURCE: ImageSource = ImageSource::MiniImagenet { image_size: SIDE };

/// Class names with the numbers of their pictures.
type Classes = &'static [(&'static str, usize)];

/// (name in files, part, classes); not in order of names.
const PARTS: [(&str, Split, Classes); 3] = [
    ("train", Split::Train, &[("n02", 1), ("n01", 0)]),
    ("val", Split::Validation, &[("n00", 2)]),
    ("test", Split::Test, &[("n04", 4), ("n03", 3)]),
];
const N_IMAGES: usize = 3;

fn image_data(classes: &[(&str, usize)]) -> Py {
    let pixels: Vec<u8> = classes
        .iter()
        .flat_map(|&(_, class)| (0..N_IMAGES).flat_map(move |index| picture(class, index)))
        .collect();
    let shape = vec![classes.len() * N_IMAGES, SIDE, SIDE, 3];
    Py::Array("u1", shape, pixels)
}

fn class_dict(classes: &[(&str, usize)]) -> Py {
    let indices = |place: usize| {
        let first = place * N_IMAGES;
        ints(
            &(first..first + N_IMAGES)
                .map(|i| i as i64)
                .collect::<Vec<_>>(),
        )
    };
    let entries = classes.iter().enumerate();
    dict(
        entries
            .map(|(place, (name, _))| (*name, indices(place)))
            .collect(),
    )
}

fn pickled(classes: &[(&str, usize)]) -> Py {
    dict(vec![
        ("class_dict", class_dict(classes)),
        ("image_data", image_data(classes)),
    ])
}

fn write_pickles(root: &Path, dialect: Dialect, validation: &str) {
    for (part, split, classes) in PARTS {
        let part = if split == Split::Validation {
            validation
        } else {
            part
        };
        let path = format!("mini-imagenet-cache-{part}.pkl");
        write(root, &path, pickle(dialect, &pickled(classes)));
    }
}

fn write_tables(root: &Path, header: &str) {
    for (part, _, classes) in PARTS {
        let mut rows = vec![header.to_owned()];
        for (name, class) in classes {
            for index in 0..N_IMAGES {
                let file = format!("{name}_{index}.png");
                write(root, &format!("images/{file}"), png(*class, index));
                rows.push(if header == "filename,label" {
                    format!("{file},{name}")
                } else {
                    format!("{name},{file}")
                });
            }
        }
        write(root, &format!("{part}.csv"), rows.join("\n"));
    }
}

fn write_folders(root: &Path) {
    for (part, _, classes) in PARTS {
        for (name, class) in classes {
            for index in 0..N_IMAGES {
                let path = format!("{part}/{name}/{name}_{index}.png");
                write(root, &path, png(*class, index));
            }
        }
    }
}

#[test]
fn all_layouts_are_the_same_set() {
    let mut expected = Vec::new();
    for (_, split, classes) in PARTS {
        let mut classes = classes.to_vec();
        classes.sort_unstable();
        for (name, class) in classes {
            let images = (0..N_IMAGES).map(|index| planes(class, index)).collect();
            expected.push((name.to_owned(), Some(split), images));
        }
    }
    let layouts: [&dyn Fn(&Path); 7] = [
        &|root| write_pickles(root, Dialect::Python2, "val"),
        &|root| write_pickles(root, Dialect::Protocol2, "validation"),
        &|root| write_pickles(root, Dialect::Protocol4, "validation"),
        &|root| write_pickles(&root.join("mini-imagenet"), Dialect::Protocol4, "val"),
        &|root| write_tables(root, "filename,label"),
        &|root| write_tables(root, "class_name,image_name"),
        &write_folders,
    ];
    for (number, layout) in layouts.into_iter().enumerate() {
        // The first folder of the fourth layout is made by its files.
        let set = load(&SOURCE, |root| {
            std::fs::create_dir_all(root.join("mini-imagenet")).expect("made");
            layout(root);
        });
        let set = set.expect("loads");
        assert_eq!(described(&set), expected, "layout {number}");
        let split = ClassSplit::new(&SplitConfig::Official {}, &set).expect("all have one");
        assert_eq!(split.classes(Split::Validation), [2]);
        assert_eq!(split.classes(Split::Test), [3, 4]);
    }
}

#[test]
fn the_released_codes_array_is_divided_by_place() {
    let pixels: Vec<u8> = (0..100).flat_map(|class| picture(class, 0)).collect();
    let array = |classes| npy("|u1", &[classes, 1, SIDE, SIDE, 3], &pixels);
    let set = load(&SOURCE, |root| write(root, "miniimagenet.npy", array(100))).expect("loads");
    let split = ClassSplit::new(&SplitConfig::Official {}, &set).expect("all have one");
    assert_eq!(
        Split::ALL.map(|part| split.classes(part).len()),
        [64, 16, 20]
    );
    assert_eq!(set.image(99, 0), planes(99, 0));
    refused(
        &SOURCE,
        |root| write(root, "miniimagenet.npy", array(99)),
        &["miniimagenet.npy", "99 classes, expected [64, 16, 20]"],
    );
}

/// Good pickles, but for the test part's.
fn with_test_pickle(root: &Path, bytes: &[u8]) {
    write_pickles(root, Dialect::Protocol4, "val");
    write(root, "mini-imagenet-cache-test.pkl", bytes);
}

#[test]
fn damaged_pickles_are_refused() {
    let check = |bytes: &[u8], expected: &str| {
        let file = "mini-imagenet-cache-test.pkl";
        refused(
            &SOURCE,
            |root| with_test_pickle(root, bytes),
            &[file, expected],
        );
    };
    let classes = PARTS[2].2;
    for dialect in [Dialect::Python2, Dialect::Protocol2, Dialect::Protocol4] {
        let whole = pickle(dialect, &pickled(classes));
        let step = whole.len() / 97 + 1;
        for len in (0..whole.len())
            .step_by(step)
            .chain(whole.len() - 9..whole.len())
        {
            check(&whole[..len], "");
        }
    }
    let check_value = |value: Py, expected| check(&pickle(Dialect::Protocol4, &value), expected);
    let entries = |data, classes| dict(vec![("image_data", data), ("class_dict", classes)]);
    let data = || image_data(classes);
    check_value(ints(&[1]), "expected a dictionary");
    check_value(
        dict(vec![("images", data())]),
        "no key image_data, only [\"images\"]",
    );
    check_value(dict(vec![("image_data", data())]), "no key class_dict");
    check_value(
        entries(text("none"), class_dict(classes)),
        "image_data: expected a NumPy array",
    );
    let of_shape = |shape: Vec<usize>, bytes| {
        entries(Py::Array("u1", shape, vec![0; bytes]), class_dict(classes))
    };
    check_value(
        of_shape(vec![9, 2, 2, 3], 100),
        "[9, 2, 2, 3] with 100 bytes",
    );
    check_value(of_shape(vec![108], 108), "expected [images, height, width");
    check_value(of_shape(vec![9, 2, 2, 4], 144), "1 or 3 channels");
    check_value(of_shape(vec![1, 2000, 2, 3], 12000), "pixels a side");
    check_value(of_shape(vec![0, 2, 2, 3], 0), "more indices than the 0");
    check_value(of_shape(vec![1 << 30; 4], 8), "out of bounds");
    check_value(
        of_shape(vec![6, 2, 2, 3], 8 * 72),
        "8-byte numbers, expected uint8",
    );
    check_value(
        entries(data(), dict(vec![("n03", ints(&[0, 6]))])),
        "class n03: an index out of bounds, expected 0 to 5",
    );
    check_value(
        entries(data(), dict(vec![("n03", ints(&[-1]))])),
        "out of bounds",
    );
    check_value(
        entries(data(), dict(vec![("n03", ints(&[0; 7]))])),
        "class n03: more indices than the 6 images",
    );
    check_value(
        of_shape(vec![1_000_001, 1, 1, 1], 1_000_001),
        "at most 1000000",
    );
    check_value(
        entries(data(), dict(vec![("n03", ints(&[]))])),
        "class n03: no image",
    );
    check_value(
        entries(data(), dict(vec![("n03", Py::List(vec![text("a")]))])),
        "whole numbers",
    );
}

#[test]
fn hostile_pickles_are_refused() {
    let check = |bytes: &[u8], expected: &[&str]| {
        refused(&SOURCE, |root| with_test_pickle(root, bytes), expected);
    };
    check(
        b"\x80\x05\x95\0\0\0\0\0\0\0\0N.",
        &[
            "mini-imagenet-cache-test.pkl",
            "protocol 5",
            "python3 -c",
            "'wb'), 4)",
        ],
    );
    for old in [&b"(dp0\n."[..], b"}q\x00."] {
        let expected = [
            "protocol 0 or 1",
            "python3 -c",
            "encoding='latin1'",
            "'wb'), 4)",
        ];
        check(old, &expected);
    }
    let nested = |inner: &[u8], times| {
        let mut bytes = b"\x80\x04N".to_vec();
        bytes.extend(inner.repeat(times));
        bytes.push(b'.');
        bytes
    };
    check(&nested(b"\x85", 1_000_000), &["nests deeper"]);
    check(&nested(b"(", 1_000_000), &["nests deeper"]);
    // A command to run is no more than an unknown value.
    check(
        b"\x80\x04cposix\nsystem\n\x8c\x02ls\x85R.",
        &["expected a dictionary"],
    );
}

#[test]
fn tiny_pictures_that_would_become_large_ones_are_refused() {
    let large = ImageSource::MiniImagenet { image_size: 1024 };
    let n_images = 11_000;
    let value = dict(vec![
        ("class_dict", dict(vec![("n01", ints(&[0]))])),
        (
            "image_data",
            Py::Array("u1", vec![n_images, 1, 1, 3], vec![0; 3 * n_images]),
        ),
    ]);
    let write_all = |root: &Path| {
        write_pickles(root, Dialect::Protocol4, "val");
        let bytes = pickle(Dialect::Protocol4, &value);
        write(root, "mini-imagenet-cache-train.pkl", bytes);
    };
    let expected = ["mini-imagenet-cache-train.pkl", "11000 pictures", "32 GiB"];
    refused(&large, write_all, &expected);
}

#[test]
fn a_changed_byte_never_panics() {
    let folder = TempDir::new().expect("temporary folder");
    let root = folder.path();
    for dialect in [Dialect::Python2, Dialect::Protocol2, Dialect::Protocol4] {
        write_pickles(root, dialect, "val");
        let whole = pickle(dialect, &pickled(PARTS[2].2));
        let (mut n_refused, mut n_read) = (0, 0);
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= [0x01, 0x80, 0xff][place % 3];
            write(root, "mini-imagenet-cache-test.pkl", bytes);
            match SOURCE.load(Some(root)) {
                Ok(_) => n_read += 1,
                Err(_) => n_refused += 1,
            }
        }
        // Another pixel is read, another opcode, length or (in encoded bytes) letter is not:
        // the changes reach both.
        assert!(n_refused > 100 && n_read > 100, "{n_refused}, {n_read}");
    }
}

#[test]
fn damaged_tables_and_folders_are_refused() {
    let with_table = |table: &'static str| {
        move |root: &Path| {
            write_tables(root, "filename,label");
            write(root, "test.csv", table);
        }
    };
    refused(
        &SOURCE,
        with_table("file,label\na.png,n1\n"),
        &["test.csv", "expected the columns"],
    );
    refused(
        &SOURCE,
        with_table("filename,label\n../test.csv,n1\n"),
        &["test.csv", "name of a file"],
    );
    refused(
        &SOURCE,
        with_table("filename,label\nnone.png,n1\n"),
        &["none.png"],
    );
    refused(
        &SOURCE,
        with_table("filename,label\n"),
        &["test.csv", "without rows"],
    );
    refused(
        &SOURCE,
        with_table("filename,label\nn01_0.png,n01\n"),
        &["class n01", "two parts"],
    );
    let lacking = |root: &Path| {
        write_folders(root);
        std::fs::remove_dir_all(root.join("val")).expect("removed");
    };
    refused(
        &SOURCE,
        lacking,
        &["lacks val", "expected train, val and test"],
    );
    refused(&SOURCE, |_| {}, &["no data set mini-imagenet", "expected"]);
}
