//! The way from a config to a tested generator, in small.

use std::path::Path;

use crate::support::{command, error, json, names, read, scratch, stderr, write_picture};

const SMOKE: &str = "configs/smoke.toml";

#[test]
fn train_evaluate_and_inspect_agree() {
    let (_folder, run) = scratch();
    let trained = json(&["train", SMOKE, "--run", &run]);
    for key in [
        "run",
        "test_accuracy",
        "test_ci95",
        "test_episodes",
        "train_episodes",
        "train_seconds",
        "pixel_nn_accuracy",
        "device",
    ] {
        assert!(!trained[key].is_null(), "no {key} in {trained}");
    }
    assert_eq!(trained["test_episodes"], 20);
    assert_eq!(trained["train_episodes"], 24);
    assert_eq!(
        names(&run),
        [
            "best",
            "checkpoints",
            "config.toml",
            "lock",
            "metrics.jsonl",
            "result.json",
            "run.json",
            "test.jsonl"
        ]
    );
    assert_eq!(
        names(Path::new(&run).join("checkpoints")),
        ["step-00000004", "step-00000006"]
    );

    let evaluated = json(&["evaluate", "--run", &run]);
    assert_eq!(evaluated["accuracy"], trained["test_accuracy"]);
    assert_eq!(evaluated["pixel_nn_accuracy"], trained["pixel_nn_accuracy"]);
    assert_eq!(evaluated["norm_statistics"], "query-batch");

    let from_run = json(&["inspect", &run]);
    assert_eq!(from_run, json(&["inspect", SMOKE]));
    assert_eq!(from_run["layers"].as_array().map(Vec::len), Some(3));

    let metrics = String::from_utf8(read(&run, "metrics.jsonl")).expect("text");
    let kinds: Vec<String> = metrics
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON lines");
            format!("{} {}", line["kind"].as_str().unwrap_or(""), line["step"])
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "train 2",
            "validation 3",
            "train 4",
            "train 6",
            "validation 6",
            "test 6"
        ]
    );
}

#[test]
fn a_run_repeats_bit_for_bit_with_any_number_of_threads() {
    let digest = |threads: &str| {
        let (_folder, run) = scratch();
        let result = json(&["train", SMOKE, "--run", &run, "--threads", threads]);
        result["parameters_sha256"].as_str().map(str::to_owned)
    };
    let one = digest("1");
    assert!(one.is_some());
    assert_eq!(one, digest("2"));
    assert_eq!(one, digest("7"));
}

#[test]
fn without_arguments_the_quickstart_is_meant() {
    let quickstart = json(&["inspect"]);
    assert_eq!(quickstart, json(&["inspect", "configs/quickstart.toml"]));
    assert_eq!(quickstart["name"], "quickstart");
    // Only learned layers change the sources.
    let logits_only = json(&["inspect", "--set", "generator.learned_layers={first=4}"]);
    assert_eq!(logits_only["layers"][0]["generated"], false);
    assert_eq!(logits_only["layers"][4]["generated"], true);
}

#[test]
fn a_person_sees_accuracy_and_the_place_of_the_run() {
    let (_folder, run) = scratch();
    let output = command(&["train", SMOKE, "--run", &run])
        .output()
        .expect("started");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "test accuracy",
        "95 % interval, n = 20",
        "pixel nearest",
        &run,
    ] {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

#[test]
fn a_folder_of_pictures_is_a_data_set() {
    let (folder, run) = scratch();
    let data = folder.path().join("pictures");
    for class in 0..12u8 {
        for image in 0..5u8 {
            let path = data.join(format!("class{class:02}/{image}.png"));
            write_picture(&path, class * 20 + image);
        }
    }
    let data = data.display().to_string();
    let source = "data={ source = 'folder', image_size = 16, channels = 'colour' }";
    let split = "split={ by = 'seed', seed = 1, validation = 4, test = 4 }";
    let args = [
        "train",
        SMOKE,
        "--run",
        &run,
        "--data",
        &data,
        "--set",
        source,
        "--set",
        split,
        "--set",
        "evaluation.queries=2",
    ];
    assert_eq!(json(&args)["test_episodes"], 20);
    // The run knows where its data lie.
    assert_eq!(
        json(&["evaluate", "--run", &run, "--episodes", "5"])["episodes"],
        5
    );
    // Another class would make another split of it, unless somebody says that other data are meant.
    for image in 0..5 {
        let path = folder.path().join(format!("pictures/class12/{image}.png"));
        write_picture(&path, 7 + image);
    }
    let changed = ["evaluate", "--run", &run, "--episodes", "5"];
    error(&changed, &["begun with other images"]);
    let told = [&changed[..], &["--data", &data]].concat();
    let output = command(&told).output().expect("started");
    assert!(stderr(&output).contains("not the images that it was trained on"));
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_test_shows_no_class_of_the_training() {
    let (folder, run) = scratch();
    json(&["train", SMOKE, "--run", &run]);
    let list = folder.path().join("list.jsonl").display().to_string();
    let write = ["episodes", SMOKE, "--episodes", "5", "-o", &list];
    json(&[&write[..], &["--set", "split.seed=6"]].concat());
    let evaluate = ["evaluate", "--run", &run, "--episodes-from", &list];
    error(&evaluate, &["list.jsonl", "a training class"]);
    let other = ["evaluate", "--run", &run, "--set", "split.seed=6"];
    let output = command(&other).output().expect("started");
    assert!(stderr(&output).contains("not the split that it was trained on"));
    assert!(stderr(&output).contains("20 episodes; a figure to be compared with others needs 600"));
}

#[test]
fn bench_measures_as_many_steps_as_are_asked_for() {
    let args = [
        "bench",
        "configs/smoke.toml",
        "--steps",
        "8",
        "--threads",
        "1",
    ];
    let rates = json(&args);
    assert_eq!(rates["steps"], 8);
    for key in [
        "train_episodes_per_second",
        "train_episodes_per_cpu_second",
        "generate_ms",
    ] {
        assert!(rates[key].as_f64().expect(key) > 0.0, "{rates}");
    }
    if rates["device"] == "flex" {
        let ratio = rates["floor_ratio"].as_f64().expect("a ratio");
        assert!(ratio > 0.0 && ratio < 1.0, "{rates}");
    }
    assert_eq!(rates["shape"]["ways"], 3);
    error(&["bench", "--steps", "0"], &["--steps", "from 1 on"]);
}
