//! The commands that read what the released code wrote, and runs that start from others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::{command, error, json, names, read, root, say, scratch, stderr};

/// The recorded cases: in `HT_PARITY_DIR`, seen from the root of the repository, or beside it.
fn recorded() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("HT_PARITY_DIR") {
        let folder = root().join(named);
        assert!(
            folder.is_dir(),
            "HT_PARITY_DIR: no folder {}",
            folder.display()
        );
        return Some(folder);
    }
    let folder = root().join("../shared/parity");
    if folder.is_dir() {
        return Some(folder);
    }
    say("skipped: no recorded cases in ../shared/parity, and HT_PARITY_DIR is not set");
    None
}

/// The case that some of the tests change, import or repeat on a GPU, where the folder has it.
pub(crate) fn omniglot_case() -> Option<PathBuf> {
    let path = recorded()?.join("omni_output.safetensors");
    if path.exists() {
        return Some(path);
    }
    say(&format!("skipped in part: no {}", path.display()));
    None
}

/// A recorded case as a checkpoint under its TensorFlow names.
fn checkpoint(case: &Path, target: &Path) {
    let bytes = std::fs::read(case).expect("a recorded case");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let variables = tensors
        .iter()
        .filter_map(|(name, view)| Some((name.strip_prefix("var/")?.to_owned(), view)));
    let file = safetensors::serialize(variables, None).expect("serialised");
    std::fs::write(target, file).expect("written");
}

/// What makes the released Omniglot script's experiment of the recorded 5-way case, in the
/// words of the built-in one.
const SAME_MODEL: [&str; 10] = [
    "--config",
    "configs/quickstart.toml",
    "--set",
    "generator.transformer.norm=post",
    "--set",
    "generator.transformer.blocks=3",
    "--set",
    "generator.logits_tokens=independent",
    "--set",
    "evaluation.test_episodes=4",
];

#[test]
fn parity_prints_a_row_per_case() {
    let Some(folder) = recorded() else { return };
    let folder = folder.display().to_string();
    let found = json(&["parity", &folder]);
    let cases = found["cases"].as_array().expect("cases");
    assert!(!cases.is_empty());
    assert!(cases.iter().all(|case| case["ok"] == true), "{found}");
    error(&["parity", "docs"], &["no recorded case in docs"]);
}

#[test]
fn parity_fails_with_one_case() {
    let Some(case) = omniglot_case() else { return };
    let (scratch, _run) = scratch();
    let here = |end: &str| scratch.path().join("omni_output").with_extension(end);
    for end in ["safetensors", "json"] {
        std::fs::copy(case.with_extension(end), here(end)).expect("copied");
    }
    let mut bytes = std::fs::read(here("safetensors")).expect("copied");
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&1e3f32.to_le_bytes());
    std::fs::write(here("safetensors"), bytes).expect("writable");
    let changed = scratch.path().display().to_string();
    error(&["parity", &changed], &["1 of 1 cases differ"]);
}

#[test]
fn a_released_checkpoint_becomes_a_run() {
    let Some(case) = omniglot_case() else { return };
    let (scratch, run) = scratch();
    let file = scratch.path().join("released.safetensors");
    checkpoint(&case, &file);
    let file = file.display().to_string();
    let import = [&["import-tf", &file, "--run", &run], &SAME_MODEL[..]].concat();
    let imported = json(&import);
    assert_eq!(imported["generator_parameters"], 840_424);
    let evaluated = json(&["evaluate", "--run", &run]);
    assert_eq!(evaluated["episodes"], 4);

    // Another model's checkpoint leaves nothing behind.
    let other = scratch.path().join("other").display().to_string();
    let wrong = [&["import-tf", &file, "--run", &other], &SAME_MODEL[..2]].concat();
    error(&wrong, &["this generator has no parameter"]);
    assert!(!Path::new(&other).exists());

    // So do parameters that are no numbers. The last one's last value is changed.
    let mut bytes = std::fs::read(&file).expect("written");
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&f32::NAN.to_le_bytes());
    let broken = scratch.path().join("broken.safetensors");
    std::fs::write(&broken, bytes).expect("writable");
    let broken = broken.display().to_string();
    let broken = [&["import-tf", &broken, "--run", &other], &SAME_MODEL[..]].concat();
    error(&broken, &["not finite"]);
    assert!(!Path::new(&other).exists());
}

#[test]
fn a_run_can_start_from_another_ones_parameters() {
    let (scratch, first) = scratch();
    json(&["train", "configs/smoke.toml", "--run", &first]);
    let second = scratch.path().join("second").display().to_string();
    let start = [
        "train",
        "configs/smoke.toml",
        "--run",
        &second,
        "--start",
        &first,
    ];
    // With a learning rate of almost nothing it must test as its start does.
    let still = ["--set", "schedule.learning_rate=1e-30", "--set", "seed=9"];
    let trained = json(&[&start[..], &still].concat());
    let before = json(&["evaluate", "--run", &first]);
    assert_eq!(trained["test_accuracy"], before["accuracy"]);
    let info = String::from_utf8(read(&second, "run.json")).expect("text");
    assert!(info.contains("best"), "{info}");

    let third = scratch.path().join("third").display().to_string();
    let start = [&start[..3], &[third.as_str()], &start[4..]].concat();
    let wider = [&start[..], &["--set", "generator.embedding_width=9"]].concat();
    error(
        &wider,
        &[
            "another method or size",
            "no parameter",
            "embeddings.labels",
        ],
    );
    assert!(!Path::new(&third).exists());

    // Statistics that the first run has not learned begin as those of drawn kernels.
    let support = ["--set", "cnn.norm_statistics=support"];
    let prior = ["--set", "generator.norm_prior=true"];
    json(&[&start[..], &support, &prior].concat());
    let info = json(&["evaluate", "--run", &third]);
    assert_eq!(info["norm_statistics"], "support");
}

/// The bytes of each parameter in one of a run's checkpoints.
fn parameters(run: &str, checkpoint: &str) -> BTreeMap<String, Vec<u8>> {
    let bytes = read(run, &format!("{checkpoint}/parameters.safetensors"));
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let tensors = tensors.iter();
    tensors
        .map(|(name, view)| (name.to_owned(), view.data().to_vec()))
        .collect()
}

#[test]
fn a_run_of_other_ways_takes_what_fits() {
    let (scratch, first) = scratch();
    json(&["train", "configs/smoke.toml", "--run", &first]);
    let best = json(&["evaluate", "--run", &first])["step"].to_string();
    let of_first = parameters(&first, &format!("best/step-{best:0>8}"));
    let second = scratch.path().join("second").display().to_string();
    let start = ["train", "configs/smoke.toml", "--run", &second];
    let from = ["--fitting-from", &first, "--set", "seed=9"];
    let changes = ["--set", "episodes.ways=4", "--set", "training.steps=1"];
    json(&[&start[..], &from, &changes].concat());
    // The checkpoint of step 0 shows what was taken: all but what has a row for each label.
    let taken = parameters(&second, "checkpoints/step-00000000");
    let mut fresh = Vec::new();
    for (name, value) in &taken {
        if of_first.get(name) != Some(value) {
            fresh.push(name.as_str());
        }
    }
    let expected = [
        "layers.0.generator.embeddings.labels",
        "layers.1.generator.embeddings.labels",
        "logits.generator.embeddings.labels",
        "logits.generator.embeddings.weights",
    ];
    assert_eq!(fresh, expected);
    assert!(taken.len() > 20, "{}", taken.len());
    let info = String::from_utf8(read(&second, "run.json")).expect("text");
    assert!(info.contains(r#""start_part": "fitting""#), "{info}");

    // Nothing of it fits where every width is another.
    let third = scratch.path().join("third").display().to_string();
    let start = ["train", "configs/smoke.toml", "--run", &third];
    let widths = [
        "cnn.channels=4",
        "generator.embedding_width=9",
        "generator.image_encoder.width=5",
        "generator.activation_encoder.width=4",
        "generator.transformer.query_key={absolute=10}",
    ];
    let widths: Vec<&str> = widths.iter().flat_map(|width| ["--set", width]).collect();
    error(
        &[&start[..], &["--fitting-from", &first], &widths].concat(),
        &["another method or size", "none of its parameters"],
    );
    assert!(!Path::new(&third).exists());
    error(
        &[&start[..], &["--fitting-from", &first, "--start", &first]].concat(),
        &["--fitting-from", "--start"],
    );
}

#[test]
fn an_image_encoder_is_trained_alone_and_taken_over() {
    let smoke = "configs/smoke.toml";
    let (scratch, first) = scratch();
    let head = ["--set", "generator.class_head={classes=20}"];
    let alone = ["--set", "training.objective=class-head"];
    let trained = json(&[&["train", smoke, "--run", &first], &head[..], &alone].concat());
    assert!(
        trained["class_head_accuracy"].as_f64().is_some(),
        "{trained}"
    );
    // Nothing was generated, so nothing was tested.
    assert!(!names(&first).contains(&"result.json".to_owned()));
    let of_first = parameters(&first, "checkpoints/step-00000006");

    // A run with a head takes the encoder and the head, one without takes the encoder: its
    // checkpoint of step 0 shows what was taken. All else is drawn from another seed.
    for (name, more) in [
        ("with", &["--set", "loss.class_head=0.1"][..]),
        ("without", &[]),
    ] {
        let run = scratch.path().join(name).display().to_string();
        let of_head: &[&str] = if more.is_empty() { &[] } else { &head };
        let start = [
            "train",
            smoke,
            "--run",
            &run,
            "--image-encoder-from",
            &first,
        ];
        let few = ["--set", "training.steps=1", "--set", "seed=3"];
        json(&[&start[..], &few, of_head, more].concat());
        let start = parameters(&run, "checkpoints/step-00000000");
        for (parameter, value) in &start {
            let is_taken =
                parameter.starts_with("image_encoder.") || parameter.starts_with("class_head.");
            let is_constant = value.chunks(4).all(|bytes| bytes == &value[..4]);
            if is_taken {
                assert_eq!(of_first.get(parameter), Some(value), "{parameter}");
            } else if !is_constant {
                assert_ne!(of_first.get(parameter), Some(value), "{parameter}");
            }
        }
        assert_eq!(
            start.keys().any(|n| n.starts_with("class_head")),
            !more.is_empty()
        );
        assert!(names(&run).contains(&"result.json".to_owned()));
        let info = String::from_utf8(read(&run, "run.json")).expect("text");
        assert!(info.contains(r#""start_part": "image-encoder""#), "{info}");
    }

    let other = scratch.path().join("other").display().to_string();
    let start = [
        "train",
        smoke,
        "--run",
        &other,
        "--image-encoder-from",
        &first,
    ];
    let wider = ["--set", "generator.image_encoder.width=5"];
    error(
        &[&start[..], &wider].concat(),
        &[
            "another method or size",
            "no parameter image_encoder.",
            "[5, 1, 3, 3]",
            "but one of [4, 1, 3, 3]",
        ],
    );
    assert!(!Path::new(&other).exists());
}

#[test]
fn semi_supervised_irregular_episodes_train() {
    let (_scratch, run) = scratch();
    let mixed = [
        "train",
        "configs/smoke.toml",
        "--run",
        &run,
        "--set",
        "episodes.unlabelled={train=2,evaluation=1,distractors=1}",
        "--set",
        "episodes.irregular={min_ways=2,min_shots=1}",
        "--set",
        "episodes.shots=2",
        "--set",
        "episodes.removal={labelled=0.2,unlabelled=0.5}",
        "--set",
        "episodes.division={labelled=0.7,seed=1}",
        "--set",
        "evaluation.queries=2",
    ];
    let output = command(&mixed).output().expect("started");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(names(&run).contains(&"result.json".to_owned()));
    error(
        &[
            "train",
            "configs/smoke.toml",
            "--set",
            "episodes.irregular={min_ways=2,min_shots=1}",
            "--set",
            "generator.hidden_samples=keys-only",
        ],
        &["generator.hidden_samples", "episodes.irregular"],
    );
}
