//! Hostile checkpoints: what they say about themselves is true, digests included, and yet they
//! must not be used.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ht_files::sha256;
use serde_json::Value;
use tempfile::TempDir;

use crate::attacks::refused;
use crate::support::root;

/// A small model in a folder of its own, with its parameters' file changed and the digest right.
fn model(change: impl FnOnce(&mut Vec<u8>)) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let fixture = root().join("crates/ht-train/tests/fixtures/format-2/checkpoints/step-00000002");
    let mut bytes = fs::read(fixture.join("parameters.safetensors")).expect("the fixture");
    change(&mut bytes);
    let text = fs::read_to_string(fixture.join("manifest.json")).expect("the fixture");
    let mut manifest: Value = serde_json::from_str(&text).expect("JSON");
    manifest["parameters_sha256"] = sha256(&bytes).into();
    fs::write(folder.path().join("parameters.safetensors"), bytes).expect("written");
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).expect("written");
    let path = folder.path().to_owned();
    (folder, path)
}

fn evaluate(path: &Path, expected: &[&str]) {
    let path = path.display().to_string();
    refused(&["evaluate", "--model", &path], expected);
}

/// The header of the file as JSON.
fn header(bytes: &[u8]) -> Value {
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    serde_json::from_slice(&bytes[8..8 + length]).expect("a header")
}

/// The file with another header.
fn with_header(bytes: &[u8], header: &str) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let new = (header.len() as u64).to_le_bytes();
    [&new[..], header.as_bytes(), &bytes[8 + length..]].concat()
}

#[test]
fn parameters_that_are_no_numbers() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let (_folder, path) = model(|bytes| {
            let end = bytes.len();
            bytes[end - 4..].copy_from_slice(&value.to_le_bytes());
        });
        evaluate(&path, &["damaged checkpoint", "no numbers"]);
    }
}

#[test]
fn headers_that_claim_more_than_the_file_holds() {
    for length in [u64::MAX, 1 << 40, 90_000_000, 100_000] {
        let (_folder, path) = model(|bytes| bytes[..8].copy_from_slice(&length.to_le_bytes()));
        evaluate(&path, &["damaged checkpoint"]);
    }
    let (_folder, path) = model(|bytes| bytes.truncate(bytes.len() - 4));
    evaluate(&path, &["damaged checkpoint"]);
    let (_folder, path) = model(|bytes| bytes.extend([0; 4]));
    evaluate(&path, &["damaged checkpoint"]);
    let (_folder, path) = model(Vec::clear);
    evaluate(&path, &["damaged checkpoint"]);
}

#[test]
fn tensors_that_overlap_or_overflow() {
    type Change = fn(&mut Value);
    let changes: [Change; 3] = [
        |tensor| tensor["data_offsets"] = serde_json::json!([0, 4]),
        |tensor| tensor["shape"] = serde_json::json!([u64::MAX, 2]),
        |tensor| tensor["dtype"] = "F64".into(),
    ];
    for change in changes {
        let (_folder, path) = model(|bytes| {
            let mut header = header(bytes);
            let tensors = header.as_object_mut().expect("tensors");
            tensors.values_mut().for_each(change);
            *bytes = with_header(bytes, &header.to_string());
        });
        evaluate(&path, &["damaged checkpoint"]);
    }
}

#[test]
fn nested_headers_and_manifests() {
    let nested = "[".repeat(200_000);
    let (_folder, path) = model(|bytes| *bytes = with_header(bytes, &format!("{{\"a\":{nested}")));
    evaluate(&path, &["damaged checkpoint"]);
    let (_folder, path) = model(|_| ());
    let manifest = path.join("manifest.json");
    fs::write(&manifest, format!("{{\"format\":{nested}")).expect("written");
    evaluate(&path, &["damaged checkpoint", "manifest.json"]);
    fs::write(
        &manifest,
        format!("{{\"format\":\"{}\"}}", "x".repeat(1 << 20)),
    )
    .expect("written");
    evaluate(&path, &["damaged checkpoint", "manifest.json"]);
}

#[test]
fn files_that_are_far_too_long() {
    for (file, n_bytes) in [
        ("manifest.json", 1 << 30),
        ("parameters.safetensors", 1 << 40),
    ] {
        let (_folder, path) = model(|_| ());
        let file = File::create(path.join(file)).expect("made");
        if file.set_len(n_bytes).is_ok() {
            evaluate(&path, &["expected at most"]);
        }
    }
}

#[test]
fn a_model_of_a_newer_version() {
    let (_folder, path) = model(|_| ());
    fs::write(
        path.join("manifest.json"),
        "{\"format\": 3, \"all\": \"new\"}",
    )
    .expect("written");
    evaluate(&path, &["format 3", "newer version"]);
}

/// A small file whose config asks for large networks: the sizes are counted before memory is taken.
#[test]
fn configs_that_ask_for_more_than_the_file_holds() {
    for (from, to, expected) in [
        ("embedding_width = 4", "embedding_width = 2000", "only"),
        (
            "embedding_width = 4",
            "embedding_width = 9000000000",
            "embedding_width",
        ),
        (
            "channels = 3",
            "channels = 4096",
            "the generator would have",
        ),
        ("depth = 2", "depth = 4000000000", "cnn.depth"),
        (
            "image_size = 16",
            "image_size = 1000000000",
            "data.image_size",
        ),
    ] {
        let (_folder, path) = model(|_| ());
        let manifest = path.join("manifest.json");
        let text = fs::read_to_string(&manifest).expect("JSON");
        let mut document: Value = serde_json::from_str(&text).expect("JSON");
        let config = document["config"].as_str().expect("the config").to_owned();
        assert!(config.contains(from), "{from} is not in {config}");
        document["config"] = config.replacen(from, to, 1).into();
        fs::write(&manifest, document.to_string()).expect("written");
        evaluate(&path, &[expected]);
    }
}
