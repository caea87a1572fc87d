//! A gate against slow steps that needs no clock: instructions of a training step, counted by
//! callgrind, against the number that was written down.
//!
//! Valgrind shows a processor without AVX-512, so it is the AVX2 path that is counted.

use std::process::Command;

use crate::support::{root, say};

/// Instructions of one training step of an episode, drawing it and one generation included.
const RECORDED: f64 = 1.591e8;
/// Part by which a step may change before this number has to be looked at.
const TOLERANCE: f64 = 0.1;

/// Instructions of a whole `bench` with a number of steps.
fn instructions(steps: &str) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("callgrind.out");
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env!("CARGO_BIN_EXE_hypertransformer"))
        .args([
            "bench",
            "--device",
            "flex",
            "--threads",
            "1",
            "--steps",
            steps,
        ])
        .args(["--set", "data.classes=60", "--set", "data.samples=4"])
        .args([
            "--set",
            "evaluation.queries=3",
            "--set",
            "split.validation=20",
        ])
        .args(["--set", "split.test=20", "--set", "training.meta_batch=1"])
        .args(["--set", "training.micro_batch=1", "--json"])
        .current_dir(root())
        .output()
        .expect("valgrind started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let profile = std::fs::read_to_string(&out).expect("a profile");
    let total = profile.lines().find_map(|line| {
        let numbers = line.strip_prefix("totals:")?;
        numbers.trim().parse::<f64>().ok()
    });
    total.expect("the totals of the profile")
}

#[test]
fn a_step_takes_the_instructions_that_were_written_down() {
    if cfg!(not(all(feature = "flex", target_arch = "x86_64"))) {
        say("skipped: instructions are counted for the device flex on x86-64");
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        assert!(
            std::env::var_os("HT_REQUIRE_VALGRIND").is_none(),
            "HT_REQUIRE_VALGRIND is set, but there is no valgrind"
        );
        say("skipped: no valgrind to count instructions with");
        return;
    }
    let per_step = instructions("2") - instructions("1");
    let change = per_step / RECORDED - 1.0;
    assert!(
        change.abs() <= TOLERANCE,
        "a training step takes {per_step:.3e} instructions, {:+.1} % against the recorded \
         {RECORDED:.3e}: make it faster, or write the new number down with its reason",
        100.0 * change
    );
}
