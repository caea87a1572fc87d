//! More pictures than the memory could hold are refused in every layout before the first is read.

use std::path::Path;

use ht_episodes::{Channels, ImageSource};

use crate::pictures::{refused, write};

/// 3 MiB each as configured.
const IMAGE_SIZE: usize = 1024;
const MANY: usize = 11_000;
const EXPECTED: [&str; 3] = ["cannot read", "pictures of 3145728 bytes", "32 GiB"];

#[test]
fn class_folders() {
    let source = ImageSource::Folder {
        image_size: IMAGE_SIZE,
        channels: Channels::Colour,
    };
    // No pictures, but nobody reads them.
    let files = |root: &Path| {
        for number in 0..MANY {
            write(root, &format!("class-{}/{number}.png", number % 2), "");
        }
    };
    refused(&source, files, &EXPECTED);
}

#[test]
fn tables() {
    let source = ImageSource::MiniImagenet {
        image_size: IMAGE_SIZE,
    };
    let table = |root: &Path| {
        for (part, n_rows) in [("train", MANY), ("val", 1), ("test", 1)] {
            let rows = format!("{part}.png,{part}\n").repeat(n_rows);
            let table = format!("filename,label\n{rows}");
            write(root, &format!("{part}.csv"), table);
        }
    };
    refused(&source, table, &EXPECTED);
}

#[test]
fn lists_of_classes() {
    let source = ImageSource::CifarFs {
        image_size: IMAGE_SIZE,
    };
    let lists = |root: &Path| {
        for (part, n_lines) in [("train", MANY), ("val", 1), ("test", 1)] {
            let list = format!("{part}\n").repeat(n_lines);
            write(root, &format!("splits/bertinetto/{part}.txt"), list);
            write(root, &format!("data/{part}/a.png"), "");
        }
    };
    refused(&source, lists, &EXPECTED);
}
