//! The device file, or one file of a bundle, as the program is named, led by the coverage that
//! libFuzzer measures. Whole files are drawn now and then: no corpus is needed to start from.

#![no_main]

#[path = "../tests/it/definition.rs"]
mod definition;
#[path = "../tests/it/reading.rs"]
mod reading;
#[path = "../tests/it/sample.rs"]
mod sample;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use ht_bundle::MANIFEST_FILE;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use tempfile::TempDir;

const READER: &str = env!("CARGO_BIN_NAME");

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));
/// A bundle's folder, and the file in it that is changed.
static WHOLE: LazyLock<(PathBuf, &str)> = LazyLock::new(|| {
    let folder = FOLDER.path().join("cnn");
    sample::mixed().write(&folder).expect("a folder");
    (folder, reading::changed_file(READER))
});
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    if READER == "device-file" {
        return reading::device_files();
    }
    let (folder, file) = &*WHOLE;
    vec![fs::read(folder.join(file)).expect("a file")]
});
static MANIFEST: LazyLock<String> = LazyLock::new(|| {
    fs::read_to_string(WHOLE.0.join(MANIFEST_FILE)).expect("a manifest")
});

fuzz_target!(|bytes: &[u8]| {
    if READER == "device-file" {
        let mut mended = bytes.to_vec();
        reading::mend_length(&mut mended);
        reading::exercise(bytes);
        reading::exercise(&mended);
        return;
    }
    let (folder, file) = &*WHOLE;
    reading::exercise_bundle(folder, file, &MANIFEST, &SEEDS[0], bytes);
});

fuzz_mutator!(|bytes: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if size > 0 && seed % 16 > 0 {
        return fuzzer_mutate(bytes, size, max_size);
    }
    let whole = &SEEDS[(seed / 16) as usize % SEEDS.len()];
    let size = whole.len().min(max_size);
    bytes[..size].copy_from_slice(&whole[..size]);
    fuzzer_mutate(bytes, size, max_size)
});
