//! CIFAR-FS and FC100 in small: class folders by list or by part, and pickles.

use std::path::Path;

use ht_episodes::{ImageSource, Split};

use crate::pickle_writer::{Dialect, Py, dict, ints, pickle};
use crate::pictures::{SIDE, described, load, picture, planes, png, refused, write};

const CIFAR_FS: ImageSource = ImageSource::CifarFs { image_size: SIDE };
const FC100: ImageSource = ImageSource::Fc100 { image_size: SIDE };

/// (name in files, class, number of its pictures).
const CLASSES: [(&str, &str, usize); 4] = [
    ("train", "whale", 0),
    ("train", "apple", 1),
    ("val", "lamp", 2),
    ("test", "cloud", 3),
];

fn write_lists(root: &Path) {
    for part in ["train", "val", "test"] {
        let names = CLASSES
            .iter()
            .filter(|class| class.0 == part)
            .map(|class| class.1);
        let list = names.collect::<Vec<_>>().join("\n");
        write(
            root,
            &format!("cifar100/splits/bertinetto/{part}.txt"),
            list + "\n",
        );
    }
    for (_, class, number) in CLASSES {
        let path = format!("cifar100/data/{class}/{class}_s_000001.png");
        write(root, &path, png(number, 0));
    }
    // Raw classes that no list names are left out.
    write(root, "cifar100/data/unused/a.png", png(9, 0));
}

fn write_processed(root: &Path) {
    for (part, class, number) in CLASSES {
        let path = format!("cifarfs/processed/{part}/{class}/a.png");
        write(root, &path, png(number, 0));
    }
}

fn data(labels: &[i64]) -> Py {
    let pixels = labels.iter().enumerate();
    let pixels = pixels.flat_map(|(index, label)| picture(*label as usize, index));
    Py::Array("u1", vec![labels.len(), SIDE, SIDE, 3], pixels.collect())
}

fn write_pickles(root: &Path, prefix: &str, dialect: Dialect) {
    let parts: [(&str, &[i64]); 3] = [("train", &[7, 2, 7]), ("val", &[0]), ("test", &[99])];
    for (part, labels) in parts {
        let value = dict(vec![("labels", ints(labels)), ("data", data(labels))]);
        write(
            root,
            &format!("{prefix}_{part}.pickle"),
            pickle(dialect, &value),
        );
    }
}

#[test]
fn lists_and_folders_are_the_same_set() {
    let lists = described(&load(&CIFAR_FS, write_lists).expect("loads"));
    let folders = described(&load(&CIFAR_FS, write_processed).expect("loads"));
    assert_eq!(lists, folders);
    let names: Vec<&str> = lists.iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(names, ["apple", "whale", "lamp", "cloud"]);
    assert_eq!(lists[2].1, Some(Split::Validation));
    assert_eq!(lists[3].2, [planes(3, 0)]);
}

#[test]
fn pickles_of_both_sets() {
    for (source, prefix) in [(CIFAR_FS, "CIFAR_FS"), (FC100, "FC100")] {
        for dialect in [Dialect::Python2, Dialect::Protocol2, Dialect::Protocol4] {
            let set = load(&source, |root| write_pickles(root, prefix, dialect));
            let found = described(&set.expect("loads"));
            assert_eq!(found.len(), 4);
            let (name, part, images) = &found[1];
            assert_eq!((name.as_str(), *part), ("train/007", Some(Split::Train)));
            assert_eq!(*images, [planes(7, 0), planes(7, 2)]);
            assert_eq!(found[3].0, "test/099");
        }
    }
}

#[test]
fn damaged_files_are_refused() {
    let with = |value: Py| {
        move |root: &Path| {
            write_pickles(root, "FC100", Dialect::Protocol4);
            write(root, "FC100_val.pickle", pickle(Dialect::Protocol4, &value));
        }
    };
    let entries = |labels, data| dict(vec![("labels", labels), ("data", data)]);
    let file = "FC100_val.pickle";
    refused(
        &FC100,
        with(entries(ints(&[1, 2]), data(&[1]))),
        &[file, "1 pictures, but 2"],
    );
    refused(
        &FC100,
        with(entries(ints(&[]), data(&[]))),
        &[file, "at least one"],
    );
    refused(
        &FC100,
        with(entries(ints(&[-4]), data(&[1]))),
        &[file, "label -4"],
    );
    refused(
        &FC100,
        with(entries(data(&[1]), ints(&[1]))),
        &[file, "data: expected a NumPy"],
    );
    let n_tiny = 11_000;
    let tiny = Py::Array("u1", vec![n_tiny, 1, 1, 3], vec![0; 3 * n_tiny]);
    let tiny = pickle(Dialect::Protocol4, &entries(ints(&vec![1; n_tiny]), tiny));
    refused(
        &ImageSource::Fc100 { image_size: 1024 },
        |root| {
            write_pickles(root, "FC100", Dialect::Protocol4);
            write(root, "FC100_train.pickle", tiny);
        },
        &["FC100_train.pickle", "11000 pictures", "32 GiB"],
    );
    refused(
        &FC100,
        |_| {},
        &["no data set fc100", "FC100_{train,val,test}.pickle"],
    );
    refused(&CIFAR_FS, |_| {}, &["no data set cifar-fs", "bertinetto"]);

    let with_list = |list: &'static str| {
        move |root: &Path| {
            write_lists(root);
            write(root, "cifar100/splits/bertinetto/test.txt", list);
        }
    };
    refused(
        &CIFAR_FS,
        with_list("../splits\n"),
        &["test.txt", "../splits"],
    );
    refused(&CIFAR_FS, with_list("nothing\n"), &["nothing"]);
    let long = |root: &Path| {
        write_lists(root);
        let spaces = " ".repeat((1 << 20) + 1);
        write(root, "cifar100/splits/bertinetto/test.txt", spaces);
    };
    refused(&CIFAR_FS, long, &["test.txt", "expected at most 1048576"]);
    refused(
        &CIFAR_FS,
        with_list("apple\n"),
        &["class apple", "two parts"],
    );
    let empty = |root: &Path| {
        write_lists(root);
        write(root, "cifar100/data/empty/readme.txt", "");
        write(root, "cifar100/splits/bertinetto/test.txt", "empty\n");
    };
    refused(&CIFAR_FS, empty, &["empty"]);
}
