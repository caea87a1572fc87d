//! Hostile data sets: archives, arrays, pickles, pictures and links.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use zip::write::{SimpleFileOptions, ZipWriter};

use crate::attacks::refused_data;

fn npy_header(shape: &str) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes
}

/// An archive of entries, each of which is written by parts.
fn archive(path: &Path, entries: &[(&str, &[&[u8]])]) {
    let mut archive = ZipWriter::new(File::create(path).expect("made"));
    for (name, parts) in entries {
        archive
            .start_file(*name, SimpleFileOptions::default())
            .expect("an entry");
        for part in *parts {
            archive.write_all(part).expect("written");
        }
    }
    archive.finish().expect("finished");
}

#[test]
fn an_array_that_inflates_to_gigabytes() {
    let zeros = vec![0; 1 << 20];
    let header = npy_header("2, 1024, 1024, 1024");
    let mut parts: Vec<&[u8]> = vec![&header];
    parts.extend(std::iter::repeat_n(zeros.as_slice(), 2048));
    let write = |root: &Path| {
        archive(
            &root.join("images_background.npz"),
            &[("images.npy", &parts)],
        );
        let n_bytes = fs::metadata(root.join("images_background.npz"))
            .expect("there")
            .len();
        assert!(n_bytes < 4 << 20, "{n_bytes}");
    };
    refused_data(
        "omniglot",
        write,
        &["images_background.npz", "unpack to 2147483"],
    );
}

#[test]
fn a_header_that_claims_more_than_the_file_holds() {
    for shape in [
        "1000, 1000, 105, 105",
        "1000000, 1, 1, 1",
        "4000000000, 4000000000, 1, 1",
    ] {
        let header = npy_header(shape);
        let npz = |root: &Path| {
            archive(
                &root.join("images_background.npz"),
                &[("images.npy", &[&header, b"xyz"])],
            );
        };
        refused_data("omniglot", npz, &["images_background.npz"]);
        let npy = |root: &Path| {
            fs::write(
                root.join("miniimagenet.npy"),
                [&header[..], b"xyz"].concat(),
            )
            .expect("written");
        };
        refused_data("mini-imagenet", npy, &["miniimagenet.npy"]);
    }
}

#[test]
fn an_archive_of_very_many_entries() {
    let names: Vec<String> = (0..100_000).map(|n| format!("set/A/c/{n}.png")).collect();
    let entries: Vec<(&str, &[&[u8]])> = names
        .iter()
        .map(|name| (name.as_str(), &[] as &[&[u8]]))
        .collect();
    let write = |root: &Path| archive(&root.join("images_background.zip"), &entries);
    refused_data(
        "omniglot",
        write,
        &["images_background.zip", "set/A/c/0.png"],
    );
}

#[test]
fn an_archive_with_a_name_that_leads_out() {
    for name in ["../../evil/A/c/1.png", "images_background/../../c/1.png"] {
        let write = |root: &Path| archive(&root.join("images_background.zip"), &[(name, &[b"x"])]);
        refused_data("omniglot", write, &["images_background.zip", "leads out"]);
    }
}

fn pickles(root: &Path, bytes: &[u8]) {
    for part in ["train", "val", "test"] {
        fs::write(root.join(format!("mini-imagenet-cache-{part}.pkl")), bytes).expect("written");
    }
}

#[test]
fn nested_pickles() {
    for (open, close) in [
        (&b"("[..], &b"t"[..]),
        (b"]", b"a"),
        (b"", b"\x85"),
        (b"}N", b"s"),
    ] {
        let bytes = [
            b"\x80\x04",
            &open.repeat(200_000)[..],
            b"N",
            &close.repeat(200_000),
            b".",
        ]
        .concat();
        refused_data(
            "mini-imagenet",
            |root| pickles(root, &bytes),
            &["mini-imagenet-cache-train.pkl"],
        );
    }
    // One value that is used twice in one that is used twice ..: 2^60 of them.
    let mut doubling = b"\x80\x04K\x01\x85\x94".to_vec();
    for level in 0..60 {
        doubling.extend([b'h', level, b'h', level, 0x86, 0x94]);
    }
    doubling.push(b'.');
    refused_data(
        "mini-imagenet",
        |root| pickles(root, &doubling),
        &["far more than its length"],
    );
}

#[test]
fn a_pickle_that_calls_a_function() {
    let mark = tempfile::TempDir::new().expect("a folder");
    let file = mark.path().join("called");
    let command = format!("touch {}", file.display());
    let call = |module: &str| {
        let head = format!("c{module}\nsystem\n");
        let length = [command.len() as u8];
        [
            b"\x80\x04",
            head.as_bytes(),
            b"\x8c",
            &length,
            command.as_bytes(),
            b"\x85R.",
        ]
        .concat()
    };
    for module in ["posix", "os", "nt"] {
        refused_data(
            "mini-imagenet",
            |root| pickles(root, &call(module)),
            &["expected a dictionary"],
        );
    }
    assert!(!file.exists());
}

/// CRC-32 as PNG has it.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = [b"IHDR", &size[..], &[8, 2, 0, 0, 0]].concat();
    for chunk in [
        header,
        b"IDAT\x78\x9c\x03\0\0\0\0\x01".to_vec(),
        b"IEND".to_vec(),
    ] {
        bytes.extend((chunk.len() as u32 - 4).to_be_bytes());
        bytes.extend(&chunk);
        bytes.extend(crc(&chunk).to_be_bytes());
    }
    bytes
}

#[test]
fn pictures_of_billions_of_pixels() {
    let mut jpeg =
        b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03\x01\x22\0\x02\x11\0\x03\x11\0".to_vec();
    jpeg.extend(b"\xff\xda\0\x0c\x03\x01\0\x02\x11\x03\x11\0\x3f\0\0\xff\xd9");
    let pictures = [
        ("a.png", png(65_536, 32_768)),
        ("b.png", png(u32::MAX, u32::MAX)),
        ("c.png", png(0, 0)),
        ("d.png", png(15_000, 15_000)),
        ("e.jpg", jpeg),
    ];
    for (name, bytes) in pictures {
        let write = |root: &Path| {
            fs::create_dir(root.join("class")).expect("made");
            fs::write(root.join("class").join(name), &bytes).expect("written");
        };
        refused_data("folder", write, &["cannot read", name]);
    }
}

#[test]
fn a_picture_of_a_terabyte() {
    let write = |root: &Path| {
        fs::create_dir(root.join("class")).expect("made");
        let file = File::create(root.join("class/a.jpg")).expect("made");
        // Not every file system takes a sparse terabyte.
        if file.set_len(1 << 40).is_err() {
            file.set_len(1 << 30).expect("sparse");
        }
    };
    refused_data("folder", write, &["a.jpg", "bytes, expected at most"]);
}

#[test]
#[cfg(unix)]
fn links_and_pipes() {
    use std::os::unix::fs::symlink;
    let class = |root: &Path| {
        let class = root.join("class");
        fs::create_dir(&class).expect("made");
        crate::support::write_picture(&class.join("a.png"), 9);
        class
    };
    let loops = |root: &Path| symlink("..", class(root).join("again")).expect("linked");
    refused_data("folder", loops, &["again", "read already"]);
    let twice = |root: &Path| symlink(class(root), root.join("other")).expect("linked");
    refused_data("folder", twice, &["other", "read already"]);
    let itself = |root: &Path| symlink("b.png", class(root).join("b.png")).expect("linked");
    refused_data("folder", itself, &["cannot read", "b.png"]);
    let pipe = |root: &Path| {
        let made = Command::new("mkfifo")
            .arg(class(root).join("b.png"))
            .status();
        assert!(made.expect("mkfifo").success());
    };
    refused_data("folder", pipe, &["b.png", "not a regular file"]);
}
