//! A bundle's folder: what is written is read again, and nothing else is.

use std::fs;

use ht_bundle::{Bundle, DEVICE_FILE, GOLDEN_FILE, MANIFEST_FILE, WEIGHTS_FILE};
use ht_files::durable;
use ht_files::durable::faults::{self, Fault};

use crate::sample;

#[test]
fn what_is_written_is_read_again_and_verifies() {
    for bundle in sample::all() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("cnn");
        bundle.write(&folder).expect("a folder that can be written");
        let read = Bundle::read(&folder).expect("a bundle");
        assert_eq!(read, bundle);
        let verification = read.verify().expect("a network");
        assert!(verification.passed(), "{verification:?}");
        assert_eq!(verification.same_label, verification.images);
        // Nothing stays beside it, and it can be written again in its own place.
        read.write(&folder).expect("the same place");
        assert_eq!(fs::read_dir(parent.path()).expect("a folder").count(), 1);
    }
}

/// A disk that fails at any write, sync or rename, once or from then on: the bundle of before or the
/// new one is there, and the next write goes on from it.
#[test]
fn whatever_write_fails_a_bundle_is_left() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("cnn");
    let [old, new] = [sample::paper(5), sample::paper(3)];
    old.write(&folder).expect("written");
    let (_, n_operations) = faults::with(None, || old.write(&folder));
    assert!(n_operations > 15, "{n_operations}");
    for kind in [Fault::Once, Fault::From] {
        for n in 0..n_operations {
            old.write(&folder).expect("written");
            let (result, _) = faults::with(Some(kind(n)), || new.write(&folder));
            durable::settle(&folder).expect("settled");
            let found = Bundle::read(&folder).expect("a bundle is left");
            assert!(
                found == new || (found == old && result.is_err()),
                "operation {n}"
            );
            new.write(&folder).expect("written");
            assert_eq!(fs::read_dir(parent.path()).expect("a folder").count(), 1);
        }
    }
}

/// Stopped between the two renames.
#[test]
fn a_bundle_that_was_moved_aside_takes_its_name_again() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("cnn");
    let bundle = sample::paper(5);
    bundle.write(&folder).expect("a folder");
    fs::rename(&folder, parent.path().join(".cnn.replaced")).expect("moved");
    assert_eq!(Bundle::read(&folder).expect("a bundle"), bundle);
    assert!(folder.is_dir());
    // While another process is between them, it is not ours to put right.
    let _lock = Bundle::lock(&folder).expect("free");
    fs::rename(&folder, parent.path().join(".cnn.replaced")).expect("moved");
    let error = Bundle::read(&folder).expect_err("elsewhere").to_string();
    assert!(error.contains("another process"), "{error}");
    assert!(!folder.exists());
}

#[test]
fn two_never_write_one_bundle() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("cnn");
    let lock = Bundle::lock(&folder).expect("free");
    let error = sample::paper(5).write(&folder).expect_err("taken");
    let error = error.to_string();
    assert!(
        error.contains("cnn: it is being written by another process"),
        "{error}"
    );
    sample::paper(4).write_locked(&lock).expect("ours");
    drop(lock);
    sample::paper(5).write(&folder).expect("free again");
    // Whoever comes first, a bundle is left, and each has written it or said that it has not.
    let results = std::thread::scope(|scope| {
        let writers = [3, 4, 5, 3].map(|n_labels| {
            let folder = &folder;
            scope.spawn(move || {
                sample::paper(n_labels)
                    .write(folder)
                    .map_err(|e| e.to_string())
            })
        });
        writers.map(|writer| writer.join().expect("no panic"))
    });
    assert!(results.iter().any(Result::is_ok), "{results:?}");
    let is_taken = |error: &String| error.contains("another process");
    assert!(
        results
            .iter()
            .all(|result| result.as_ref().err().is_none_or(is_taken)),
        "{results:?}"
    );
    Bundle::read(&folder).expect("a bundle is left");
}

#[test]
#[cfg(unix)]
fn a_link_to_a_bundle_keeps_its_name() {
    let parent = tempfile::tempdir().expect("a folder");
    let (folder, link) = (parent.path().join("cnn"), parent.path().join("link"));
    sample::paper(5).write(&folder).expect("a folder");
    std::os::unix::fs::symlink("cnn", &link).expect("linked");
    sample::paper(4).write(&link).expect("where it leads");
    assert!(link.symlink_metadata().expect("there").is_symlink());
    assert_eq!(Bundle::read(&folder).expect("whole").cnn.n_labels(), 4);
}

#[test]
fn other_weights_do_not_verify() {
    let mut bundle = sample::paper(5);
    bundle.cnn.layers[2].shift[3] += 0.01;
    let verification = bundle.verify().expect("a network");
    assert!(!verification.passed(), "{verification:?}");
}

#[test]
fn a_folder_that_is_no_bundle_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("picture.png");
    fs::write(&picture, b"mine").expect("a file");
    let error = sample::paper(5).write(folder.path()).expect_err("not ours");
    assert!(error.to_string().contains("no bundle"), "{error}");
    assert_eq!(fs::read(&picture).expect("still there"), b"mine");
    // Others call their files manifest.json too.
    let manifest = folder.path().join("manifest.json");
    fs::remove_file(&picture).expect("removed");
    fs::write(&manifest, br#"{"name": "a web page"}"#).expect("a file");
    let error = sample::paper(5).write(folder.path()).expect_err("not ours");
    assert!(error.to_string().contains("no bundle"), "{error}");
    assert!(manifest.is_file());
}

#[test]
fn what_else_lies_in_a_bundle_is_not_removed_with_it() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("cnn");
    sample::paper(5).write(&folder).expect("a folder");
    sample::paper(4).write(&folder).expect("in its place");
    fs::write(folder.join("cnn.h"), b"mine").expect("a file");
    let error = sample::paper(5).write(&folder).expect_err("more than ours");
    assert!(error.to_string().contains("has a file cnn.h"), "{error}");
    assert_eq!(
        fs::read(folder.join("cnn.h")).expect("still there"),
        b"mine"
    );
    assert_eq!(Bundle::read(&folder).expect("whole").cnn.n_labels(), 4);
}

#[test]
fn a_changed_file_is_named() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("cnn");
    let bundle = sample::paper(5);
    for name in [WEIGHTS_FILE, GOLDEN_FILE, DEVICE_FILE] {
        bundle.write(&folder).expect("a folder");
        let path = folder.join(name);
        let mut bytes = fs::read(&path).expect("a file");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).expect("a file");
        let error = Bundle::read(&folder).expect_err("damaged").to_string();
        assert!(error.contains(name) && error.contains("SHA-256"), "{error}");
        fs::remove_file(&path).expect("a file");
        let error = Bundle::read(&folder).expect_err("missing").to_string();
        assert!(error.contains(name), "{error}");
    }
}

/// The manifest of the paper's CNN, changed, then read: the error.
fn refused(change: impl Fn(&str) -> String) -> String {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("cnn");
    sample::paper(5).write(&folder).expect("a folder");
    let path = folder.join(MANIFEST_FILE);
    let text = fs::read_to_string(&path).expect("a manifest");
    let changed = change(&text);
    assert_ne!(changed, text, "nothing was changed");
    fs::write(&path, changed).expect("a file");
    Bundle::read(&folder)
        .expect_err("a wrong manifest")
        .to_string()
}

#[test]
fn a_wrong_manifest_says_what_is_wrong() {
    for (from, to, expected) in [
        ("\"format\": 2", "\"format\": 3", "newer hypertransformer"),
        ("\"format\": 2", "\"format\": 0", "expected 1 to 2"),
        (
            "\"format\": 2",
            "\"format\": 2, \"colours\": 3",
            "unknown field `colours`",
        ),
        (
            "\"temperature\": 1.25",
            "\"temperature\": 0.0",
            "temperature",
        ),
        (
            "\"temperature\": 1.25",
            "\"temperature\": 1e99",
            "temperature: inf",
        ),
        (
            "\"most_doubt\": 0.5",
            "\"most_doubt\": 1.5",
            "rejection.most_doubt",
        ),
        (
            "\"false_accept_rate\": 0.05",
            "\"false_accept_rate\": -1",
            "rejection.false_accept_rate",
        ),
        (
            "\"measured_on\": \"d",
            "\"measured_on\": \"\\u001b",
            "rejection.measured_on",
        ),
        ("\"invert\": true", "\"invert\": false", DEVICE_FILE),
        ("\"side\": 28,\n", "\"side\": 29,\n", "preprocessing"),
        (
            "shorter-side-lanczos3-centre-cut",
            "nearest",
            "unknown variant `nearest`",
        ),
        ("byte/128-1", "byte/255", "unknown variant"),
        ("\"multiply_adds\": ", "\"multiply_adds\": 1", "cost"),
        (
            "\"channels\": 8",
            "\"channels\": 4000000000",
            "layers.0.kernel",
        ),
        ("\"stride\": 1", "\"stride\": 0", "layer 1"),
        ("\"padding\"", "\"zeros\"", "unknown field `zeros`"),
        ("\"sha256\": \"0", "\"sha256\": \"G", "support.sha256"),
        ("\"label\": \"class", "\"label\": \"glass", "support.label"),
        ("cnn.htcnn\":", "../cnn\":", "../cnn"),
    ] {
        let error = refused(|text| text.replacen(from, to, 1));
        assert!(error.contains(expected), "{from} to {to}: {error}");
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}

#[test]
fn the_costs_are_those_of_the_papers_cnn() {
    let cost = sample::paper(5).cost().expect("a network");
    assert_eq!(cost.weights, 1_909);
    // 9 · 8 · 28² + 9 · 64 · (14² + 7² + 3²) + 5 · 8.
    assert_eq!(cost.multiply_adds, 202_792);
    // The image with zeros around it, 30², and the first output with its zeros, 16² · 8.
    assert_eq!(cost.activation_bytes, 4 * (900 + 2048));
    // The unpacked weights have a bias per channel in each layer.
    assert_eq!(
        cost.workspace_bytes,
        cost.activation_bytes + 4 * (1_909 + 32)
    );
    assert_eq!(
        cost.device_bytes,
        sample::paper(5)
            .device_file(ht_bundle::Precision::Float32)
            .expect("a file")
            .len()
    );
}
