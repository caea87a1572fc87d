//! Whole runs on a disk with faults, from files without some of theirs, and through bad steps.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::run_dir::checkpoints_in;
use crate::{ExperimentConfig, Override, RunInfo};
use ht_files::durable::faults::{self, Fault};

const SMOKE: &str = include_str!("../../../../configs/smoke.toml");

fn experiment(overrides: &[&str]) -> Experiment {
    let overrides: Vec<Override> = overrides
        .iter()
        .map(|text| text.parse().expect("key=value"))
        .collect();
    let config = ExperimentConfig::parse(SMOKE, "smoke.toml", &overrides).expect("a config");
    Experiment::resolve(config, None).expect("possible")
}

/// Begins a run, or goes on with it, until it ends or fails.
fn go(
    experiment: &Experiment,
    path: &Path,
    bad_steps: BadSteps,
    n_threads: usize,
    observe: &mut dyn FnMut(TrainEvent),
) -> Result<TrainOutcome, TrainError> {
    let stop = AtomicBool::new(false);
    go_until(&stop, experiment, path, bad_steps, n_threads, observe)
}

/// The same, or until it is asked to stop.
fn go_until(
    stop: &AtomicBool,
    experiment: &Experiment,
    path: &Path,
    bad_steps: BadSteps,
    n_threads: usize,
    observe: &mut dyn FnMut(TrainEvent),
) -> Result<TrainOutcome, TrainError> {
    let run = if path.join("config.toml").exists() {
        RunDir::open(path)?
    } else {
        let info = RunInfo {
            data: None,
            device: "flex".to_owned(),
            version: "test".to_owned(),
            machine: None,
            data_sha256: Some(experiment.data_digest()),
            start: None,
            start_part: None,
        };
        let run = RunDir::create(path, &info)?;
        run.begin(&experiment.config)?;
        run
    };
    let compute = Compute {
        device: Device::flex(),
        n_threads,
        // As many, so that neither number changes a bit.
        n_loaders: n_threads,
    };
    train(experiment, &run, &compute, bad_steps, stop, observe)
}

fn finish(experiment: &Experiment, path: &Path) -> Vec<String> {
    let mut skipped = Vec::new();
    let outcome = go(experiment, path, BadSteps::Stop, 2, &mut |event| {
        if let TrainEvent::Skipped { cause } = event {
            skipped.push(cause);
        }
    });
    assert!(
        matches!(outcome, Ok(TrainOutcome::Finished(_))),
        "{outcome:?}"
    );
    skipped
}

/// All that a run leaves, apart from the clock's numbers.
fn digest(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["checkpoints", "best"] {
        for checkpoint in checkpoints_in(&path.join(folder)).expect("read") {
            let info = checkpoint::verify(&checkpoint).expect("whole");
            let name = checkpoint.strip_prefix(path).expect("inside").display();
            found.push(format!(
                "{name} {} {:?} {:?} {} {}",
                info.step, info.best, info.skipped, info.parameters_sha256, info.optimizer_sha256
            ));
        }
    }
    let text = fs::read_to_string(path.join("metrics.jsonl")).expect("metrics");
    for line in text.lines() {
        let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let object = line.as_object_mut().expect("an object");
        object.remove("episodes_per_second");
        object.remove("train_seconds");
        found.push(line.to_string());
    }
    found.push(fs::read_to_string(path.join("test.jsonl")).expect("records"));
    found.push(fs::read_to_string(path.join("config.toml")).expect("config"));
    assert!(path.join("result.json").exists());
    found
}

#[test]
fn whatever_write_fails_the_run_goes_on_to_the_same_end() {
    // The window of the metrics and the checkpoints do not end together.
    let experiment = experiment(&["training.log_every=3", "training.checkpoint_every=2"]);
    // In memory where that is possible: it is the order of the operations that matters.
    let folder = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
    let folder = folder.expect("a folder");
    let whole = folder.path().join("whole");
    let (_, n_operations) = faults::with(None, || finish(&experiment, &whole));
    assert!(n_operations > 80, "{n_operations} operations");
    let expected = digest(&whole);

    let mut n_failed = 0;
    for n in 0..n_operations {
        for fault in [Fault::Once(n), Fault::From(n)] {
            let path = folder.path().join(format!("{fault:?}"));
            let mut saved = BTreeSet::new();
            let (outcome, _) = faults::with(Some(fault), || {
                go(&experiment, &path, BadSteps::Stop, 2, &mut |event| {
                    if let TrainEvent::Step { .. } = event {
                        saved.extend(checkpoints_in(&path.join("checkpoints")).expect("read"));
                    }
                })
            });
            n_failed += u64::from(outcome.is_err());
            // What was there once has a successor that loads.
            let left = checkpoints_in(&path.join("checkpoints")).expect("read");
            let newest = left.into_iter().next();
            assert!(
                saved.last() <= newest.as_ref(),
                "{fault:?} lost a checkpoint"
            );
            if let Some(newest) = newest {
                assert!(checkpoint::verify(&newest).is_ok(), "{fault:?}");
            }
            let skipped = finish(&experiment, &path);
            assert_eq!(skipped, Vec::<String>::new(), "{fault:?}");
            assert_eq!(digest(&path), expected, "{fault:?}");
            let mut left = fs::read_dir(path.join("checkpoints")).expect("read");
            assert!(left.all(|entry| {
                !entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .starts_with('.')
            }));
            fs::remove_dir_all(path).expect("removed");
        }
    }
    assert!(
        n_failed > n_operations,
        "only {n_failed} runs felt their fault"
    );
}

#[test]
fn a_stop_after_the_last_step_leaves_the_test_to_a_resume() {
    let experiment = experiment(&[]);
    let steps = experiment.config.training.steps;
    let folder = TempDir::new().expect("a folder");
    let [whole, path] = ["whole", "stopped"].map(|name| folder.path().join(name));
    finish(&experiment, &whole);

    let stop = AtomicBool::new(false);
    let observe = &mut |event| {
        let is_last = matches!(event, TrainEvent::Step { step, .. } if step == steps);
        stop.fetch_or(is_last, Ordering::Relaxed);
    };
    let outcome = go_until(&stop, &experiment, &path, BadSteps::Stop, 2, observe);
    assert!(
        matches!(outcome, Ok(TrainOutcome::Interrupted { step }) if step == steps),
        "{outcome:?}"
    );
    assert!(!path.join("result.json").exists() && !path.join("test.jsonl").exists());

    let mut events = Vec::new();
    let outcome = go(&experiment, &path, BadSteps::Stop, 2, &mut |event| {
        events.push(event);
    });
    assert!(
        matches!(outcome, Ok(TrainOutcome::Finished(_))),
        "{outcome:?}"
    );
    assert!(
        matches!(
            events[..],
            [TrainEvent::Started { .. }, TrainEvent::Testing { .. }]
        ),
        "{events:?}"
    );
    assert_eq!(digest(&path), digest(&whole));
}

/// Changes a file of a checkpoint and says whether a run notices.
fn damaged(change: impl Fn(&Path)) -> Vec<String> {
    let experiment = experiment(&[]);
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("run");
    finish(&experiment, &path);
    let expected = digest(&path);
    change(&path);
    let skipped = finish(&experiment, &path);
    assert_eq!(digest(&path), expected);
    skipped
}

#[test]
fn a_damaged_file_is_named_and_the_checkpoint_before_is_used() {
    let newest = "checkpoints/step-00000006";
    for file in [
        "parameters.safetensors",
        "optimizer.safetensors",
        "manifest.json",
    ] {
        let missing = damaged(|run| fs::remove_file(run.join(newest).join(file)).expect("removed"));
        assert!(
            missing.len() == 1 && missing[0].contains(file),
            "{missing:?}"
        );
        for share in [0, 1, 50, 99] {
            let cut = damaged(|run| {
                let path = run.join(newest).join(file);
                let bytes = fs::read(&path).expect("read");
                fs::write(&path, &bytes[..bytes.len() * share / 100]).expect("cut");
            });
            assert!(
                cut.len() == 1 && cut[0].contains("step-00000006"),
                "{cut:?}"
            );
        }
    }
    for (place, share) in [("parameters", 0), ("parameters", 37), ("optimizer", 99)] {
        let flipped = damaged(|run| {
            let path = run.join(newest).join(format!("{place}.safetensors"));
            let mut bytes = fs::read(&path).expect("read");
            let at = bytes.len() * share / 100;
            bytes[at] ^= 4;
            fs::write(&path, bytes).expect("written");
        });
        assert!(
            flipped.len() == 1 && flipped[0].contains("SHA-256"),
            "{flipped:?}"
        );
    }
}

/// Other images are other classes, and another split of them: what was trained on could be tested.
#[test]
fn a_run_goes_on_with_the_images_that_it_began_with() {
    let folder = TempDir::new().expect("a folder");
    finish(&experiment(&[]), folder.path());
    for change in ["data.seed=9", "data.classes=31"] {
        let other = experiment(&[change]);
        let outcome = go(&other, folder.path(), BadSteps::Stop, 1, &mut |_| {});
        assert!(
            matches!(outcome, Err(TrainError::DataChanged { .. })),
            "{change}: {outcome:?}"
        );
    }
}

#[test]
fn a_damaged_best_checkpoint_is_named() {
    let experiment = experiment(&[]);
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("run");
    finish(&experiment, &path);
    for best in checkpoints_in(&path.join("best")).expect("read") {
        fs::write(best.join("parameters.safetensors"), b"").expect("written");
    }
    let skipped = finish(&experiment, &path);
    assert!(
        skipped.len() >= 2 && skipped[0].contains("best"),
        "{skipped:?}"
    );
}

#[test]
fn no_checkpoint_left_and_one_from_the_future_are_errors() {
    let experiment = experiment(&[]);
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("run");
    finish(&experiment, &path);
    let fails = || {
        let outcome = go(&experiment, &path, BadSteps::Stop, 1, &mut |_| {});
        outcome.expect_err("damaged").to_string()
    };
    let checkpoints = checkpoints_in(&path.join("checkpoints")).expect("read");
    let manifest = checkpoints[0].join("manifest.json");
    let text = fs::read_to_string(&manifest).expect("read");
    fs::write(
        &manifest,
        text.replace("\"format\": 2", "\"format\": 9, \"new\": 1"),
    )
    .expect("written");
    let error = fails();
    assert!(
        error.contains("format 9") && error.contains("newer version"),
        "{error}"
    );
    for checkpoint in &checkpoints {
        fs::write(checkpoint.join("manifest.json"), "{").expect("written");
    }
    let error = fails();
    assert!(
        error.contains("none of the checkpoints") && error.contains("step-00000006"),
        "{error}"
    );
}

#[test]
fn a_bad_step_names_its_episodes_and_can_be_left_out() {
    // A loss that most steps pass and some do not.
    let experiment = experiment(&["training.largest_loss=1.13", "training.steps=12"]);
    let folder = TempDir::new().expect("a folder");
    let run = |name: &str, n_threads| {
        let path = folder.path().join(name);
        let mut skipped = 0;
        let outcome = go(
            &experiment,
            &path,
            BadSteps::Skip,
            n_threads,
            &mut |event| {
                skipped += u64::from(matches!(event, TrainEvent::SkippedStep { .. }));
            },
        );
        assert!(
            matches!(outcome, Ok(TrainOutcome::Finished(_))),
            "{outcome:?}"
        );
        (digest(&path), skipped)
    };
    let stopped = folder.path().join("stopped");
    let outcome = go(&experiment, &stopped, BadSteps::Stop, 2, &mut |_| {});
    let Err(TrainError::Diverged {
        step,
        cause,
        episodes,
        ..
    }) = outcome
    else {
        panic!("{outcome:?}")
    };
    assert!(cause.contains("above 1.13"), "{cause}");
    let named: Vec<u64> = episodes
        .split(", ")
        .map(|index| index.parse().expect("a number"))
        .collect();
    let all = step_episodes(&experiment.config.training, step);
    assert!(
        !named.is_empty() && named.iter().all(|index| all.contains(index)),
        "{episodes}"
    );
    assert!(named.len() < 4, "{episodes} of a step of four");

    let (expected, n_skipped) = run("one", 1);
    assert!((1..12).contains(&n_skipped), "{n_skipped}");
    let counted = format!("\"skipped_steps\":{n_skipped}");
    assert!(
        expected.iter().any(|line| line.contains(&counted)),
        "{expected:?}"
    );
    assert_eq!(run("two", 2), (expected.clone(), n_skipped));
    assert_eq!(run("eight", 8), (expected.clone(), n_skipped));
    // The one that stopped goes on from its last checkpoint.
    assert_eq!(run("stopped", 2).0, expected);
}

#[test]
fn a_hundred_bad_steps_in_a_row_are_too_many() {
    let experiment = experiment(&["training.largest_loss=1e-9", "training.steps=200"]);
    let folder = TempDir::new().expect("a folder");
    let mut skipped = 0;
    let outcome = go(
        &experiment,
        folder.path(),
        BadSteps::Skip,
        1,
        &mut |event| {
            skipped += u64::from(matches!(event, TrainEvent::SkippedStep { .. }));
        },
    );
    assert!(
        matches!(outcome, Err(TrainError::Diverged { step: 99, .. })),
        "{outcome:?}"
    );
    assert_eq!(skipped, 99);
}
