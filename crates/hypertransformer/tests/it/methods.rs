//! Other methods in the same harness, and what is compared with what.

use std::path::Path;

use crate::deploy::write_drawings;
use crate::support::{command, error, json, read, scratch, stderr};

/// The smoke experiment with a baseline in the place of its generator.
fn config(folder: &Path, baseline: &str) -> String {
    let smoke = std::fs::read_to_string(crate::support::root().join("configs/smoke.toml"));
    let mut table: toml::Table = smoke.expect("read").parse().expect("TOML");
    table.remove("generator");
    let baseline = format!("baseline = {baseline}")
        .parse::<toml::Table>()
        .expect("TOML");
    table.extend(baseline);
    let path = folder.join("baseline.toml");
    std::fs::write(&path, table.to_string()).expect("written");
    path.display().to_string()
}

#[test]
fn baselines_train_resume_and_are_evaluated_like_the_generator() {
    for (method, baseline) in [
        ("proto-net", "{ method = 'proto-net' }"),
        ("maml", "{ method = 'maml', steps = 2, rate = 0.1 }"),
        ("anil", "{ method = 'anil', steps = 2, rate = 0.1 }"),
        (
            "fine-tune",
            "{ method = 'fine-tune', classes = 20, steps = 5, rate = 0.5, decay = 0.0 }",
        ),
    ] {
        let (scratch, run) = scratch();
        let config = config(scratch.path(), baseline);
        let trained = json(&["train", &config, "--run", &run]);
        assert_eq!(trained["method"], method);
        assert_eq!(trained["norm_statistics"], "query-batch");
        let inspected = json(&["inspect", &run]);
        assert_eq!(inspected["method"], method);
        assert_eq!(inspected["layers"][0]["generated"], false);

        // A run that lost its last checkpoint ends the same, with any number of threads.
        let last = Path::new(&run).join("checkpoints/step-00000006");
        std::fs::remove_dir_all(last).expect("removed");
        let again = json(&["train", "--run", &run, "--resume", "--threads", "3"]);
        assert_eq!(
            again["parameters_sha256"], trained["parameters_sha256"],
            "{method}"
        );

        let evaluated = json(&["evaluate", "--run", &run]);
        assert_eq!(evaluated["accuracy"], trained["test_accuracy"]);
        assert_eq!(evaluated["method"], method);
        let alone = json(&["evaluate", "--run", &run, "--norm-statistics", "support"]);
        assert_eq!(alone["norm_statistics"], "support");
        assert_eq!(alone["episodes_sha256"], evaluated["episodes_sha256"]);

        // What it makes of pictures leaves home as the generator's CNNs do.
        let here = |name: &str| scratch.path().join(name).display().to_string();
        let (task, cnn, onnx) = (here("task"), here("cnn"), here("cnn.onnx"));
        write_drawings(Path::new(&task), &[("ash", 1), ("birch", 1)], false);
        let generate = ["generate", "--support", &task, "--model", &run, "-o", &cnn];
        assert_eq!(json(&generate)["pictures"], 2);
        let verified = json(&["verify", &cnn]);
        assert_eq!(verified["same_label"], verified["images"], "{method}");
        json(&["export", &cnn, "--format", "onnx", "-o", &onnx]);
        assert!(std::fs::metadata(&onnx).expect("written").len() > 0);
    }
}

#[test]
fn two_methods_are_compared_on_the_same_episodes() {
    let (scratch, first) = scratch();
    json(&["train", "configs/smoke.toml", "--run", &first]);
    let config = config(scratch.path(), "{ method = 'proto-net' }");
    let second = scratch.path().join("second").display().to_string();
    json(&["train", &config, "--run", &second]);

    let compared = json(&["compare", &first, &second]);
    assert_eq!(compared["first"]["method"], "hypertransformer");
    assert_eq!(compared["second"]["method"], "proto-net");
    let number = |key: &str| compared[key].as_f64().expect(key);
    let side = |key: &str| compared[key]["accuracy"].as_f64().expect(key);
    let difference = side("first") - side("second");
    assert!(
        (number("difference") - difference).abs() < 1e-9,
        "{compared}"
    );
    assert_eq!(compared["episodes"], 20);
    let with_itself = json(&["compare", &first, &first]);
    assert_eq!(with_itself["difference"], 0.0);

    // A list fixes the episodes; it is no list of other data, and other episodes do not compare.
    let list = scratch.path().join("list.jsonl").display().to_string();
    let written = json(&[
        "episodes",
        "configs/smoke.toml",
        "--episodes",
        "12",
        "-o",
        &list,
    ]);
    let records = scratch.path().join("records.jsonl").display().to_string();
    let from = ["--episodes-from", &list, "--per-episode", &records];
    let evaluated = json(&[&["evaluate", "--run", &second], &from[..]].concat());
    assert_eq!(evaluated["episodes"], 12);
    let again = [
        "episodes",
        "configs/smoke.toml",
        "--episodes",
        "12",
        "-o",
        &list,
    ];
    error(&again, &["cannot write", "list.jsonl"]);
    error(
        &["evaluate", "--run", &second, "--episodes", "1"],
        &["--episodes"],
    );
    assert_eq!(evaluated["episodes_sha256"], written["episodes_sha256"]);
    error(
        &["compare", &first, &records],
        &["measured on other episodes or data"],
    );
    let other = ["--set", "data.seed=6", "--set", "training.steps=1"];
    let third = scratch.path().join("third").display().to_string();
    json(
        &[
            &["train", "configs/smoke.toml", "--run", &third],
            &other[..],
        ]
        .concat(),
    );
    error(&["compare", &first, &third], &["other episodes or data"]);
    let wrong = ["evaluate", "--run", &third, "--episodes-from", &list];
    error(&wrong, &["list.jsonl", "data with SHA-256"]);

    let output = command(&["compare", &first, &second])
        .output()
        .expect("started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", stderr(&output));
    for part in ["proto-net", "query-batch statistics", "paired", "n = 20"] {
        assert!(text.contains(part), "{text}");
    }
    // What was fitted on validation episodes is not measured on them, wherever they are named.
    let validation = scratch
        .path()
        .join("validation.jsonl")
        .display()
        .to_string();
    json(&[
        "episodes",
        "configs/smoke.toml",
        "--split",
        "validation",
        "-o",
        &validation,
    ]);
    let measured = json(&["evaluate", "--run", &second, "--episodes-from", &validation]);
    assert_eq!(measured["split"], "validation");
    assert!(measured["calibration_report"].is_null(), "{measured}");
    let measured = json(&["evaluate", "--run", &second]);
    assert!(measured["calibration_report"].is_object(), "{measured}");

    // Images that the CNNs cannot read.
    for (change, found) in [
        ("data.image_size=20", "1 x 20 x 20"),
        ("data.image_size=40", "1 x 40 x 40"),
    ] {
        let other = ["evaluate", "--run", &second, "--set", change];
        error(&other, &["--set data", found, "the CNNs read 1 x"]);
    }

    // The records of a run are one line for each episode, behind a line that says what they are.
    let records = String::from_utf8(read(&first, "test.jsonl")).expect("text");
    assert_eq!(records.lines().count(), 21);
}

#[test]
fn a_model_is_made_of_a_run_and_tested_like_it() {
    let (scratch, run) = scratch();
    let folder = scratch.path().join("models").display().to_string();
    let add = [
        "models", "--folder", &folder, "--add", &run, "--name", "small",
    ];
    let trained = json(&["train", "configs/smoke.toml", "--run", &run]);
    std::fs::create_dir(&folder).expect("made");
    let listed = json(&add);
    let model = &listed["models"][0];
    assert_eq!(model["name"], "small");
    assert_eq!(model["card"]["test_accuracy"], trained["test_accuracy"]);
    assert_eq!(
        model["card"]["parameters_sha256"],
        trained["parameters_sha256"]
    );
    error(&add, &["small is there already"]);
    // What is shipped is what was tested.
    let best = Path::new(&run).join("best");
    for checkpoint in std::fs::read_dir(&best).expect("read").flatten() {
        let file = checkpoint.path().join("parameters.safetensors");
        std::fs::write(file, b"").expect("damaged");
    }
    let lost = [&add[..5], &["--name", "lost"]].concat();
    error(&lost, &["was tested with its checkpoint of step"]);

    let place = Path::new(&folder).join("small");
    let model = place.display().to_string();
    let evaluated = json(&["evaluate", "--model", &model]);
    assert_eq!(evaluated["accuracy"], trained["test_accuracy"]);
    let other = ["evaluate", "--model", &model, "--set", "data.seed=6"];
    let output = command(&other).output().expect("started");
    assert!(stderr(&output).contains("not the images that it was trained on"));
    let card = place.join("model.json");
    let written = std::fs::read_to_string(&card).expect("read");
    let digest = trained["parameters_sha256"].as_str().expect("text");
    std::fs::write(&card, written.replace(digest, &"0".repeat(64))).expect("changed");
    error(&["models", "--folder", &folder], &["model.json", digest]);
    std::fs::write(&card, &written).expect("as before");
    let file = place.join("parameters.safetensors");
    let mut bytes = std::fs::read(&file).expect("read");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    error(
        &["models", "--folder", &folder],
        &["parameters.safetensors does not match"],
    );
    error(&["evaluate"], &["--run"]);
}

#[test]
fn the_models_of_the_repository_are_whole() {
    let listed = json(&["models"]);
    let models = listed["models"].as_array().expect("models");
    assert!(!models.is_empty());
    for model in models {
        assert!(model["bytes"].as_u64() < Some(6_000_000), "{model}");
        assert!(
            model["card"]["test_episodes"].as_u64() >= Some(600),
            "{model}"
        );
    }
}
