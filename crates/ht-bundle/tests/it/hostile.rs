//! Files that somebody damaged on purpose: never a panic, an overflow or a run without end.
//!
//! Valid files are changed at random, most of them behind the checks that are easy to pass. Each
//! ordinary run tries a fixed number of cases; `HT_FUZZ_SECONDS` asks for more. What once failed is
//! kept in `tests/corpus/` and tried first.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ht_bundle::{Bundle, MANIFEST_FILE, WEIGHTS_FILE};

use crate::reading::{
    changed_file, device_files, exercise, exercise_bundle, manifest_for, mend_length,
};
use crate::sample::{self, Numbers};

/// Values that are at the edge of something.
const EDGES: [u8; 8] = [0, 1, 2, 15, 16, 127, 128, 255];

/// Changes a file: bytes, edges, its end, parts of it in another place.
fn damage(file: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(3) {
        let len = file.len().max(1);
        // Most of what decides stands in front.
        let reach = [36, 120, len][numbers.below(3)].min(len);
        let at = numbers.below(reach).min(file.len().saturating_sub(1));
        match numbers.below(10) {
            _ if file.is_empty() => {}
            0..4 => file[at] = numbers.next() as u8,
            4..7 => file[at] = EDGES[numbers.below(EDGES.len())],
            7 => file.truncate(at),
            8 => {
                let part: Vec<u8> = file[at..].iter().take(64).copied().collect();
                let to = numbers.below(file.len());
                file.splice(to..to, part);
            }
            _ => {
                let end = (at + 1 + numbers.below(12)).min(file.len());
                file.drain(at..end);
            }
        }
    }
}

/// Tries until a number of cases, or the time of `HT_FUZZ_SECONDS`, is over.
fn cases(least: u64, mut one: impl FnMut(&mut Numbers)) -> u64 {
    let seconds = std::env::var("HT_FUZZ_SECONDS").ok();
    let seconds = seconds.map(|seconds| seconds.parse().expect("HT_FUZZ_SECONDS: seconds"));
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let mut tried = 0;
    while tried < least || Instant::now() < until {
        one(&mut Numbers(tried));
        tried += 1;
    }
    tried
}

#[test]
fn damaged_device_files_are_errors_or_networks() {
    let files = device_files();
    let mut accepted = 0_u64;
    let tried = cases(20_000, |numbers| {
        let mut file = files[numbers.below(files.len())].clone();
        damage(&mut file, numbers);
        if numbers.below(8) > 0 {
            mend_length(&mut file);
        }
        accepted += u64::from(exercise(&file));
    });
    println!("{tried} device files, {accepted} of them still networks");
    assert!(
        accepted > tried / 100,
        "the damage never gets past the header"
    );
}

#[test]
fn every_beginning_of_a_device_file_is_an_error() {
    for file in device_files() {
        for len in 0..file.len() {
            let mut part = file[..len].to_vec();
            assert!(!exercise(&part), "{len} bytes");
            mend_length(&mut part);
            assert!(!exercise(&part), "{len} bytes, and stated as such");
        }
        assert!(exercise(&file));
    }
}

#[test]
fn what_once_failed_is_tried_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = fs::read_dir(folder).expect("the corpus");
    let mut tried = 0;
    for file in files {
        exercise(&fs::read(file.expect("a file").path()).expect("a file"));
        tried += 1;
    }
    assert!(tried > 0);
}

#[test]
fn what_guided_fuzzing_found_is_tried_again() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/found");
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = scratch.path().join("cnn");
    for reader in ["bundle-manifest", "bundle-weights", "bundle-golden"] {
        let _ = fs::remove_dir_all(&folder);
        sample::mixed().write(&folder).expect("a folder");
        let file = changed_file(reader);
        let manifest = fs::read_to_string(folder.join(MANIFEST_FILE)).expect("a manifest");
        let whole = fs::read(folder.join(file)).expect("a file");
        let files = fs::read_dir(found.join(reader)).into_iter().flatten();
        for path in files.flatten().map(|entry| entry.path()) {
            let bytes = fs::read(path).expect("a file");
            exercise_bundle(&folder, file, &manifest, &whole, &bytes);
        }
        // The file as it is: so that this reads something where nothing was found.
        exercise_bundle(&folder, file, &manifest, &whole, &whole);
        assert!(Bundle::read(&folder).is_ok(), "{reader}");
    }
    for entry in fs::read_dir(found.join("device-file"))
        .into_iter()
        .flatten()
    {
        exercise(&fs::read(entry.expect("a file").path()).expect("a file"));
    }
}

/// Writes a damaged file of a bundle, with the digest that the manifest then needs.
fn damage_weights(folder: &Path, bytes: &[u8], manifest: &str, numbers: &mut Numbers) {
    let mut file = bytes.to_vec();
    damage(&mut file, numbers);
    let mended = manifest_for(manifest, bytes, &file);
    fs::write(folder.join(WEIGHTS_FILE), file).expect("a file");
    fs::write(folder.join(MANIFEST_FILE), mended).expect("a file");
}

#[test]
fn damaged_bundles_are_errors_or_bundles() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("cnn");
    sample::mixed().write(&folder).expect("a folder");
    let manifest = fs::read_to_string(folder.join(MANIFEST_FILE)).expect("a manifest");
    let weights = fs::read(folder.join(WEIGHTS_FILE)).expect("weights");
    let tried = cases(400, |numbers| {
        if numbers.below(2) == 0 {
            damage_weights(&folder, &weights, &manifest, numbers);
        } else {
            let mut text = manifest.clone().into_bytes();
            damage(&mut text, numbers);
            // Digits are what sizes are made of.
            for _ in 0..numbers.below(4) {
                let at = numbers.below(text.len().max(1));
                if let Some(digit) = text.iter_mut().skip(at).find(|byte| byte.is_ascii_digit()) {
                    *digit = b'0' + numbers.below(10) as u8;
                }
            }
            fs::write(folder.join(WEIGHTS_FILE), &weights).expect("a file");
            fs::write(folder.join(MANIFEST_FILE), text).expect("a file");
        }
        if let Ok(bundle) = Bundle::read(&folder) {
            bundle.verify().expect("a bundle that was read");
        }
    });
    println!("{tried} bundles");
}
