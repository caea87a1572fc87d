//! The ONNX file in two runtimes that others wrote: onnxruntime, and tract, which is pure Rust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ht_bundle::{Bundle, Preprocessing, Verification};
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, Tensor, tvec,
};

use crate::sample;

/// A Python with onnx, onnxruntime and numpy, as `HT_PYTHON` names it.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("HT_PYTHON").map(PathBuf::from);
    assert!(
        python.is_some() || std::env::var_os("HT_REQUIRE_PYTHON").is_none(),
        "HT_REQUIRE_PYTHON is set, but HT_PYTHON is not"
    );
    python
}

fn check(bundle: &Bundle, logits: &[f32], runtime: &str) {
    let golden = &bundle.golden.logits;
    let verification = Verification::compare(golden, logits, bundle.cnn.n_labels());
    assert!(verification.passed(), "{runtime}: {verification:?}");
}

#[test]
fn onnxruntime_agrees_on_a_batch_and_on_single_images() {
    let Some(python) = python() else {
        println!("skipped: HT_PYTHON names no Python with tests/requirements.txt");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for bundle in sample::all() {
        fs::write(path("cnn.onnx"), bundle.onnx().expect("a network")).expect("a file");
        fs::write(path("images"), &bundle.golden.images).expect("a file");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run_onnx.py");
        let output = Command::new(&python)
            .arg(script)
            .args([path("cnn.onnx"), path("images"), path("logits")])
            .output()
            .expect("the Python that HT_PYTHON names");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");

        let logits = fs::read(path("logits")).expect("logits");
        let logits: Vec<f32> = logits
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        let (batch, single) = logits.split_at(bundle.golden.logits.len());
        check(&bundle, batch, "onnxruntime, batch");
        check(&bundle, single, "onnxruntime, single images");
        check_metadata(&bundle, &output.stdout);
    }
}

fn check_metadata(bundle: &Bundle, text: &[u8]) {
    let metadata: serde_json::Value = serde_json::from_slice(text).expect("JSON");
    let entry = |key: &str| metadata[key].as_str().expect("a text");
    let labels: Vec<String> = serde_json::from_str(entry("labels")).expect("labels");
    assert_eq!(labels, bundle.manifest.labels);
    let preprocessing: Preprocessing =
        serde_json::from_str(entry("preprocessing")).expect("preprocessing");
    assert_eq!(preprocessing, bundle.manifest.preprocessing);
    assert_eq!(entry("temperature"), "1.25");
    assert_eq!(entry("rejection_threshold"), "0.5");
    assert_eq!(entry("rejection_most_doubt"), "0.5");
    assert_eq!(entry("generator"), "drawn numbers");
}

#[test]
fn tract_agrees_on_a_batch_and_on_single_images() {
    for bundle in sample::all() {
        let image_len = bundle.cnn.image.n_values();
        let n_images = bundle.golden.images.len() / image_len;
        for batch in [n_images, 1] {
            let images = bundle.golden.images.chunks_exact(batch * image_len);
            let logits: Vec<f32> = images.flat_map(|images| tract(&bundle, images)).collect();
            check(&bundle, &logits, &format!("tract, {batch} images at once"));
        }
    }
}

fn tract(bundle: &Bundle, images: &[u8]) -> Vec<f32> {
    let image = bundle.cnn.image;
    let shape = [
        images.len() / image.n_values(),
        image.channels,
        image.height,
        image.width,
    ];
    let values: Vec<f32> = images
        .iter()
        .map(|&byte| f32::from(byte) / 128.0 - 1.0)
        .collect();
    let input = Tensor::from_shape(&shape, &values).expect("values of this shape");
    let file = bundle.onnx().expect("a network");
    let model = tract_onnx::onnx()
        .model_for_read(&mut file.as_slice())
        .and_then(|model| {
            let fact = InferenceFact::dt_shape(f32::datum_type(), shape);
            model.with_input_fact(0, fact)
        })
        .and_then(InferenceModelExt::into_optimized)
        .and_then(IntoRunnable::into_runnable)
        .expect("a model");
    let outputs = model.run(tvec![input.into()]).expect("a run");
    let logits = outputs[0].to_plain_array_view::<f32>().expect("floats");
    logits.iter().copied().collect()
}
