//! What is done with the files of a stranger: they are read and, if they are accepted, used.

use std::fs;
use std::path::Path;

use ht_bundle::{Bundle, GOLDEN_FILE, MANIFEST_FILE, Precision, WEIGHTS_FILE};
use ht_files::sha256;

use crate::sample;

/// Files to start from.
pub(crate) fn device_files() -> Vec<Vec<u8>> {
    let bundles = [sample::paper(5), sample::mixed()];
    let files = |bundle: &Bundle| {
        [Precision::Float32, Precision::Int8]
            .map(|precision| bundle.device_file(precision).expect("a network"))
    };
    bundles.iter().flat_map(files).collect()
}

/// Reads a device file and does with it all that can be done. Returns whether it was accepted.
pub(crate) fn exercise(file: &[u8]) -> bool {
    let Ok(cnn) = ht_runtime::Cnn::parse(file) else {
        return false;
    };
    for index in [0, cnn.n_labels() - 1, cnn.n_labels(), usize::MAX] {
        assert_eq!(cnn.label(index).is_some(), index < cnn.n_labels());
    }
    // What is accepted ends; what takes long is not run here.
    if cnn.workspace_len() > 1 << 20 || cnn.multiply_adds() > 1 << 22 {
        return true;
    }
    let mut workspace = vec![f32::NAN; cnn.workspace_len()];
    let mut network = cnn.load(&mut workspace).expect("the stated length");
    let image: Vec<u8> = (0..cnn.image().len()).map(|n| (n * 37) as u8).collect();
    let mut logits = vec![0.0; cnn.n_labels()];
    network
        .classify(&image, &mut logits)
        .expect("the stated shapes");
    cnn.probabilities(&mut logits);
    assert!(cnn.decide(&logits).label < cnn.n_labels());
    true
}

/// States the length that the file has, so that the parts behind the header are read.
pub(crate) fn mend_length(file: &mut [u8]) {
    let len = (file.len() as u32).to_le_bytes();
    if let Some(stated) = file.get_mut(32..36) {
        stated.copy_from_slice(&len);
    }
}

/// The file of a bundle that a fuzz program changes.
pub(crate) fn changed_file(reader: &str) -> &'static str {
    match reader {
        "bundle-weights" => WEIGHTS_FILE,
        "bundle-golden" => GOLDEN_FILE,
        _ => MANIFEST_FILE,
    }
}

/// Reads a bundle one of whose files is another; `manifest` and `whole` are what they were.
pub(crate) fn exercise_bundle(
    folder: &Path,
    file: &str,
    manifest: &str,
    whole: &[u8],
    bytes: &[u8],
) {
    if file != MANIFEST_FILE {
        let manifest = manifest_for(manifest, whole, bytes);
        fs::write(folder.join(MANIFEST_FILE), manifest).expect("written");
    }
    fs::write(folder.join(file), bytes).expect("written");
    if let Ok(bundle) = Bundle::read(folder) {
        bundle.verify().expect("a bundle that was read");
    }
}

/// The manifest of a bundle of which a file is another.
pub(crate) fn manifest_for(manifest: &str, before: &[u8], after: &[u8]) -> String {
    let entry = |bytes: &[u8]| {
        let (len, digest) = (bytes.len(), sha256(bytes));
        format!("\"bytes\": {len},\n      \"sha256\": \"{digest}\"")
    };
    let mended = manifest.replace(&entry(before), &entry(after));
    assert!(
        mended != manifest || before == after,
        "the digest was not found"
    );
    mended
}
