//! Kernels as bytes: how far they are from the weights, and what that does to logits.

use ht_bundle::{Precision, Verification};

use crate::sample;

#[test]
fn a_rounded_weight_is_within_half_a_step() {
    let cnn = sample::paper(5).cnn;
    let rounded = cnn.rounded_to(Precision::Int8);
    for (layer, rounded) in cnn.layers.iter().zip(&rounded.layers) {
        let taps = layer.kernel.len() / layer.channels;
        let rows = layer
            .kernel
            .chunks_exact(taps)
            .zip(rounded.kernel.chunks_exact(taps));
        for (row, rounded) in rows {
            let largest = row
                .iter()
                .fold(0.0, |most: f32, value| most.max(value.abs()));
            for (a, b) in row.iter().zip(rounded) {
                assert!((a - b).abs() <= largest / 254.0 * 1.0001, "{a} became {b}");
            }
        }
        assert_eq!(layer.scale, rounded.scale);
    }
    assert_eq!(cnn.rounded_to(Precision::Float32), cnn);
}

#[test]
fn a_row_of_zeros_stays_zeros() {
    let mut bundle = sample::paper(5);
    bundle.cnn.layers[0].kernel[..9].fill(0.0);
    let rounded = bundle.cnn.rounded_to(Precision::Int8);
    assert!(
        rounded.layers[0].kernel[..9]
            .iter()
            .all(|&weight| weight == 0.0)
    );
    let images = bundle.golden.images.clone();
    assert!(bundle.logits(&images, Precision::Int8).is_ok());
}

#[test]
fn the_runtime_runs_the_rounded_weights() {
    let bundle = sample::paper(20);
    let logits = bundle
        .logits(&bundle.golden.images, Precision::Int8)
        .expect("a network");
    let rounded = sample::bundle(bundle.cnn.rounded_to(Precision::Int8), 8);
    let same = Verification::compare(&rounded.golden.logits, &logits, 20);
    assert!(same.passed(), "{same:?}");
    // Rounding is seen, but small: a bundle in int8 is a quarter of the size, not another CNN.
    let loss = Verification::compare(&bundle.golden.logits, &logits, 20);
    assert!(!loss.passed(), "{loss:?}");
    assert!(
        loss.largest_difference < 0.05 * loss.allowed / ht_bundle::TOLERANCE,
        "{loss:?}"
    );
    let bytes = |precision| bundle.device_file(precision).expect("a network").len();
    assert!(bytes(Precision::Int8) * 2 < bytes(Precision::Float32));
}
