//! Caches of the released code in small: bits and bytes, with and without a channel axis.

use std::path::Path;

use ht_episodes::{Channels, ClassSplit, ImageSource, SplitConfig};

use crate::pickle_writer::{Dialect, Py, pickle};
use crate::pictures::{SIDE, load, npy, picture, planes, refused, write};

fn source(channels: Channels) -> ImageSource {
    ImageSource::NpyCache {
        name: "omniglot".to_owned(),
        image_size: SIDE,
        channels,
    }
}

#[test]
fn bits_become_black_and_white() {
    let pixels: Vec<u8> = (0..2 * 3 * SIDE * SIDE)
        .map(|place| (place % 3 == 0).into())
        .collect();
    for shape in [&[2, 3, SIDE, SIDE][..], &[2, 3, SIDE, SIDE, 1]] {
        let array = npy("|b1", shape, &pixels);
        let grey = source(Channels::Grey);
        let set = load(&grey, |root| write(root, "omniglot.npy", array)).expect("loads");
        assert_eq!((set.n_classes(), set.n_images(1)), (2, 3));
        assert_eq!(&set.image(0, 0)[..4], [255, 0, 0, 255]);
        let error = ClassSplit::new(&SplitConfig::Official {}, &set).expect_err("has none");
        assert!(
            error
                .to_string()
                .contains("class 0000 has no official split")
        );
    }
}

#[test]
fn bytes_stay_as_they_are() {
    let pixels: Vec<u8> = (0..4).flat_map(|class| picture(class, 0)).collect();
    let array = npy("|u1", &[2, 1, SIDE, SIDE, 3], &pixels[..pixels.len() / 2]);
    let other = npy("|u1", &[2, 1, SIDE, SIDE, 3], &pixels[pixels.len() / 2..]);
    let set = load(&source(Channels::Colour), |root| {
        write(root, "omniglot/1.npy", other);
        write(root, "omniglot/0.npy", array);
    });
    let set = set.expect("loads");
    assert_eq!(set.n_classes(), 4);
    for class in 0..4 {
        assert_eq!(set.image(class, 0), planes(class, 0));
        assert_eq!(set.class_name(class), format!("{class:04}"));
    }
}

#[test]
fn damaged_files_are_refused() {
    let grey = source(Channels::Grey);
    let check = |array: Vec<u8>, expected: &str| {
        let write = |root: &_| write(root, "omniglot.npy", array);
        refused(&grey, write, &["omniglot.npy", expected]);
    };
    check(
        npy("|u1", &[2, 3, 8], &[0; 48]),
        "expected [classes, images, height",
    );
    check(npy("|u1", &[2, 3, 8, 8], &[0; 100]), "");
    check(npy("|u1", &[2, 0, 8, 8], &[]), "without images");
    check(npy("|u1", &[0, 2, 8, 8], &[]), "without images");
    check(npy("|u1", &[2, 3, 8, 8, 2], &[0; 768]), "1 or 3 channels");
    check(npy("|u1", &[1 << 60, 1 << 60, 8, 8], &[0; 64]), "");
    check(
        npy("|u1", &[1, 1, 1 << 40, 1 << 40], &[0; 64]),
        "pixels a side",
    );
    check(npy("<f4", &[2, 3, 8, 8], &[0; 1536]), "another type");
    check(npy("|O", &[2], b"\x80\x05N."), "protocol 5");
    check(npy("|O", &[2], b"\x80\x04]."), "without images");
    check(Vec::new(), "npy header");
    let too_many = |root: &Path| {
        for chunk in 0..10_001 {
            write(root, &format!("omniglot/{chunk}.npy"), "");
        }
    };
    refused(&grey, too_many, &["omniglot", "more than 10000 npy files"]);
    refused(&grey, |_| {}, &["no data set npy-cache", "data.name"]);
    let out = ImageSource::NpyCache {
        name: "../omniglot".to_owned(),
        image_size: SIDE,
        channels: Channels::Grey,
    };
    refused(&out, |_| {}, &["no data set npy-cache"]);
}

#[test]
fn tiny_pictures_that_would_become_large_ones_are_refused() {
    let large = ImageSource::NpyCache {
        name: "omniglot".to_owned(),
        image_size: 1024,
        channels: Channels::Grey,
    };
    let check = |array: Vec<u8>| {
        let write = |root: &Path| write(root, "omniglot.npy", array);
        refused(&large, write, &["omniglot.npy", "40000 pictures", "32 GiB"]);
    };
    let pixels = vec![0; 40_000];
    check(npy("|u1", &[2, 20_000, 1, 1], &pixels));
    let class = Py::Array("u1", vec![40_000, 1, 1, 1], pixels);
    let objects = pickle(Dialect::Protocol4, &Py::Objects(vec![class]));
    check(npy("|O", &[1], &objects));
}
