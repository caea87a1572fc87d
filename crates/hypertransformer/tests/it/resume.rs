//! Stopping and going on: the result is the one of a run that was never stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{command, error, json, names, read, scratch, stderr};

const SMOKE: &str = "configs/smoke.toml";
const FILES: [&str; 3] = [
    "checkpoints/step-00000006/parameters.safetensors",
    "checkpoints/step-00000006/optimizer.safetensors",
    "best/BEST/parameters.safetensors",
];

/// The bytes that two equal runs share.
fn fingerprint(run: &str) -> Vec<Vec<u8>> {
    let best = names(Path::new(run).join("best"))
        .pop()
        .expect("a best checkpoint");
    FILES
        .iter()
        .map(|file| read(run, &file.replace("BEST", &best)))
        .collect()
}

/// Metrics without the clock's.
fn metrics(run: &str) -> Vec<serde_json::Value> {
    let text = String::from_utf8(read(run, "metrics.jsonl")).expect("text");
    text.lines()
        .map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let object = line.as_object_mut().expect("an object");
            object.remove("episodes_per_second");
            object.remove("train_seconds");
            line
        })
        .collect()
}

#[test]
fn a_resumed_run_ends_with_the_same_bytes() {
    let (_first, whole) = scratch();
    json(&["train", SMOKE, "--run", &whole]);

    // A run that lost everything after step 4, with half-written leftovers.
    let (_second, cut) = scratch();
    json(&["train", SMOKE, "--run", &cut]);
    fs::remove_dir_all(Path::new(&cut).join("checkpoints/step-00000006")).expect("removed");
    fs::create_dir(Path::new(&cut).join("checkpoints/.step-00000006.partial")).expect("made");
    json(&["train", "--run", &cut, "--resume"]);

    assert_eq!(fingerprint(&whole), fingerprint(&cut));
    assert_eq!(metrics(&whole), metrics(&cut));
}

#[test]
fn a_damaged_checkpoint_is_noticed_and_the_older_one_used() {
    let (_first, whole) = scratch();
    json(&["train", SMOKE, "--run", &whole]);
    let (_second, damaged) = scratch();
    json(&["train", SMOKE, "--run", &damaged]);
    let file = Path::new(&damaged).join(FILES[0]);
    let mut bytes = fs::read(&file).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).expect("written");
    let output = command(&["train", "--run", &damaged, "--resume"])
        .output()
        .expect("started");
    assert!(output.status.success());
    let text = stderr(&output);
    assert!(
        text.contains("skipped: damaged checkpoint") && text.contains("SHA-256"),
        "{text}"
    );
    assert_eq!(fingerprint(&whole), fingerprint(&damaged));

    for folder in names(Path::new(&damaged).join("checkpoints")) {
        let manifest = Path::new(&damaged).join("checkpoints").join(folder);
        fs::write(manifest.join("manifest.json"), "{ \"format\": 1,").expect("written");
    }
    error(
        &["train", "--run", &damaged, "--resume"],
        &["damaged checkpoint"],
    );
}

#[test]
#[cfg(unix)]
fn a_signal_saves_and_says_how_to_go_on() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        stopped_by(signal, code);
    }
}

#[cfg(unix)]
fn stopped_by(signal: &str, code: i32) {
    let (_first, whole) = scratch();
    let longer = [
        "--set",
        "training.steps=400",
        "--set",
        "training.checkpoint_every=1000",
    ];
    let fewer = [
        "--set",
        "training.validate_every=1000",
        "--set",
        "training.log_every=50",
    ];
    let args = |run| [&["train", SMOKE, "--run", run], &longer[..], &fewer[..]].concat();
    json(&args(whole.as_str()));

    let (_second, run) = scratch();
    let child = command(&args(run.as_str()))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    let metrics_file = Path::new(&run).join("metrics.jsonl");
    let started = Instant::now();
    while !fs::read_to_string(&metrics_file).is_ok_and(|text| text.contains("\"step\":50")) {
        assert!(
            started.elapsed() < Duration::from_mins(2),
            "no step was made"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    let kill = std::process::Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .expect("kill");
    assert!(kill.success());
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(
        text.contains(&format!("cargo xtask train --run {run} --resume")),
        "{text}"
    );

    json(&["train", "--run", &run, "--resume"]);
    // A stop in the middle of a window of the metrics changes no mean.
    assert_eq!(metrics(&whole), metrics(&run));
    for file in ["parameters", "optimizer"] {
        let last = format!("checkpoints/step-00000400/{file}.safetensors");
        assert_eq!(read(&whole, &last), read(&run, &last));
    }
}

/// All files of a folder, with their bytes.
fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = names(folder).into_iter().map(|name| folder.join(name));
    paths
        .flat_map(|path| {
            if path.is_dir() {
                everything(&path)
            } else {
                vec![(path.clone(), fs::read(&path).expect("read"))]
            }
        })
        .collect()
}

#[test]
fn a_run_that_lost_its_checkpoints_is_not_begun_again() {
    let (_folder, path) = scratch();
    json(&["train", SMOKE, "--run", &path]);
    let run = Path::new(&path);
    let remove = |run: &Path, name: &str| {
        let path = run.join(name);
        let removed = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        removed.expect("removed");
    };
    // What another run gave is no random start.
    let second = run.join("second").display().to_string();
    let start = ["train", SMOKE, "--run", &second, "--start", &path];
    json(&[&start[..], &["--set", "training.checkpoint_every=9"]].concat());
    for name in ["checkpoints", "best", "result.json"] {
        remove(Path::new(&second), name);
    }
    let resume = ["train", "--run", &second, "--resume"];
    error(&resume, &["no checkpoint is left in", "a start from "]);
    remove(run, "second");

    let resume = ["train", "--run", &path, "--resume"];
    remove(run, "checkpoints");
    for (there, name) in [
        ("result.json", "result.json"),
        ("best/step-", "best"),
        ("step 3 in ", "metrics.jsonl"),
    ] {
        let before = everything(run);
        error(&resume, &["no checkpoint is left in", "checkpoints", there]);
        assert_eq!(everything(run), before);
        remove(run, name);
    }
    json(&resume);

    // A folder that cannot be read is not one that is not there.
    remove(run, "checkpoints");
    fs::write(run.join("checkpoints"), "a file").expect("written");
    let before = everything(run);
    error(&resume, &["cannot read", "checkpoints"]);
    assert_eq!(everything(run), before);
}

/// The best one is saved before the first checkpoint where both are due.
#[test]
fn a_run_killed_before_its_first_checkpoint_begins_again() {
    let (_folder, run) = scratch();
    let late = ["--set", "training.checkpoint_every=6"];
    json(&[&["train", SMOKE, "--run", &run], &late[..]].concat());
    let (expected, lines) = (fingerprint(&run), metrics(&run));
    let run_path = Path::new(&run);
    fs::remove_dir_all(run_path.join("checkpoints")).expect("removed");
    fs::remove_file(run_path.join("result.json")).expect("removed");
    fs::remove_file(run_path.join("test.jsonl")).expect("removed");
    json(&["train", "--run", &run, "--resume"]);
    assert_eq!((fingerprint(&run), metrics(&run)), (expected, lines));
}

#[test]
fn a_manifest_with_impossible_numbers_is_named() {
    let (_folder, run) = scratch();
    json(&["train", SMOKE, "--run", &run]);
    let resume = ["train", "--run", &run, "--resume"];
    let most = serde_json::json!(i64::MAX);
    for (folder, key, value) in [
        ("checkpoints", "train_seconds", serde_json::json!(-1.5)),
        ("checkpoints", "step", most.clone()),
        ("best", "step", most),
    ] {
        let before = everything(&Path::new(&run).join(folder));
        let is_manifest = |path: &Path| path.ends_with("manifest.json");
        for (path, bytes) in before.iter().filter(|(path, _)| is_manifest(path)) {
            let mut manifest: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
            manifest[key] = value.clone();
            fs::write(path, manifest.to_string()).expect("written");
        }
        error(&resume, &["manifest.json", key, &value.to_string()]);
        for (path, bytes) in before {
            fs::write(path, bytes).expect("written");
        }
    }
    json(&resume);
}

#[test]
fn a_run_in_use_is_left_alone() {
    let (_folder, run) = scratch();
    json(&["train", SMOKE, "--run", &run]);
    let lock = fs::File::create(Path::new(&run).join("lock")).expect("opened");
    lock.lock().expect("locked");
    error(
        &["train", "--run", &run, "--resume"],
        &["in use by another process", &run],
    );
}
