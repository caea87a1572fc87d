//! The C header, compiled by gcc with every warning an error, against the golden logits.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use ht_bundle::{Bundle, Precision, Verification};

use crate::sample;

const PROGRAM: &str = r#"
#include <stdio.h>
#include "cnn.h"

int main(void)
{
    static uint8_t image[CNN_CHANNELS * CNN_HEIGHT * CNN_WIDTH];
    float logits[CNN_LABELS];
    int n;
    for (n = 0; n < CNN_LABELS; ++n)
        printf("%s\n", cnn_labels[n]);
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        cnn_classify(image, logits);
        for (n = 0; n < CNN_LABELS; ++n)
            printf("%.9g\n", (double)logits[n]);
    }
    return CNN_INVERT == 1 ? 0 : 1;
}
"#;

fn has_gcc() -> bool {
    let found = Command::new("gcc").arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os("HT_REQUIRE_GCC").is_none(),
        "HT_REQUIRE_GCC is set, but there is no gcc"
    );
    found
}

/// Labels and logits that the compiled program prints.
fn run(bundle: &Bundle, precision: Precision) -> (Vec<String>, Vec<f32>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let header = bundle.c_header(precision).expect("a network");
    for word in ["malloc", "math.h"] {
        assert!(!header.contains(word), "{word}");
    }
    fs::write(path("cnn.h"), header).expect("a file");
    fs::write(path("main.c"), PROGRAM).expect("a file");
    let strict = [
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        "-O2",
    ];
    let compiled = Command::new("gcc")
        .args(strict)
        .arg(path("main.c"))
        .arg("-o")
        .arg(path("main"))
        .output()
        .expect("gcc");
    let errors = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{errors}");

    let mut child = Command::new(path("main"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut stdin = child.stdin.take().expect("an input");
    stdin.write_all(&bundle.golden.images).expect("images");
    drop(stdin);
    let output = child.wait_with_output().expect("the program");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines = text.lines();
    let labels = lines
        .by_ref()
        .take(bundle.cnn.n_labels())
        .map(str::to_owned);
    let labels = labels.collect();
    (
        labels,
        lines.map(|line| line.parse().expect("a number")).collect(),
    )
}

#[test]
fn the_c_header_gives_the_golden_logits() {
    if !has_gcc() {
        println!("skipped: there is no gcc");
        return;
    }
    let mut hostile = sample::mixed();
    hostile.manifest.support.clear();
    hostile.manifest.labels[0] = "*/ \\ \" ??/ %s".to_owned();
    for bundle in [sample::paper(20), sample::flat(), hostile] {
        let (labels, logits) = run(&bundle, Precision::Float32);
        assert_eq!(labels, bundle.manifest.labels);
        let golden = &bundle.golden.logits;
        let verification = Verification::compare(golden, &logits, labels.len());
        println!("C: {verification:?}");
        assert!(verification.passed(), "{verification:?}");
    }
}

#[test]
fn the_c_header_in_int8_gives_the_logits_of_rounded_weights() {
    if !has_gcc() {
        println!("skipped: there is no gcc");
        return;
    }
    for bundle in sample::all() {
        let rounded = sample::bundle(bundle.cnn.rounded_to(Precision::Int8), 8);
        let mut bundle = bundle;
        bundle.golden = rounded.golden;
        let (labels, logits) = run(&bundle, Precision::Int8);
        let golden = &bundle.golden.logits;
        let verification = Verification::compare(golden, &logits, labels.len());
        println!("C, int8: {verification:?}");
        assert!(verification.passed(), "{verification:?}");
    }
}
