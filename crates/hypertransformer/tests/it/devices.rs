//! One model on all devices: three training steps give the same losses everywhere.

use crate::released::omniglot_case;
use crate::support::{command, read, root, say, scratch, stderr};

/// Kernels of one step of the smoke experiment on wgpu, counted once, and a tenth more.
const MOST_LAUNCHES: usize = 1_780;
/// Kernels that 8 more episodes may cost a step: enough for images to fall into groups, too few for
/// anything that is launched for each episode.
const MOST_OF_EIGHT_EPISODES: usize = 16;

/// Whether what a command said on wgpu is that there is no driver for it here; CI demands one.
fn is_without_driver(text: &str) -> bool {
    if !text.contains("adapter found") {
        return false;
    }
    assert!(
        std::env::var_os("HT_REQUIRE_WGPU").is_none(),
        "HT_REQUIRE_WGPU is set, but there is no Vulkan driver: {text}"
    );
    say("skipped: no Vulkan driver for the wgpu device (install mesa-vulkan-drivers)");
    true
}

/// Training losses of three steps, or none if the device has no driver here.
fn losses(device: &str) -> Option<Vec<f64>> {
    let (_folder, run) = scratch();
    let args = [
        "train",
        "configs/smoke.toml",
        "--run",
        &run,
        "--device",
        device,
        "--set",
        "training.steps=3",
        "--set",
        "training.log_every=1",
        "--set",
        "schedule.warmup_steps=0",
        "--set",
        "schedule.learning_rate=0.01",
        "--set",
        "generator.transformer.feed_forward.activation=relu",
        "--set",
        "evaluation.test_episodes=2",
        "--set",
        "evaluation.validation_episodes=2",
    ];
    let output = command(&args).output().expect("started");
    let text = stderr(&output);
    if device == "wgpu" && is_without_driver(&text) {
        return None;
    }
    assert!(output.status.success(), "{device}: {text}");
    let metrics = String::from_utf8(read(&run, "metrics.jsonl")).expect("text");
    let losses = metrics
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .filter(|line| line["kind"] == "train")
        .map(|line| line["loss"].as_f64().expect("a loss"))
        .collect();
    Some(losses)
}

fn compiled() -> Vec<&'static str> {
    let devices = [
        ("flex", cfg!(feature = "flex")),
        ("ndarray", cfg!(feature = "ndarray")),
        ("wgpu", cfg!(feature = "wgpu")),
    ];
    devices
        .into_iter()
        .filter_map(|(name, is_compiled)| is_compiled.then_some(name))
        .collect()
}

#[test]
fn three_steps_are_the_same_on_every_compiled_device() {
    let results: Vec<_> = compiled()
        .into_iter()
        .filter_map(|device| Some((device, losses(device)?)))
        .collect();
    let Some((first, expected)) = results.first() else {
        panic!("no device is compiled in");
    };
    assert_eq!(expected.len(), 3);
    assert!(
        (expected[2] - expected[0]).abs() > 1e-6,
        "the parameters did not move: {expected:?}"
    );
    for (device, losses) in &results[1..] {
        for (ours, theirs) in losses.iter().zip(expected) {
            assert!(
                (ours - theirs).abs() <= 2e-3 * theirs.abs(),
                "{device} {losses:?} against {first} {expected:?}"
            );
        }
    }
}

/// Every tensor, every gradient and three steps of the released code, by a GPU's kernels.
#[test]
fn a_recorded_step_is_repeated_on_wgpu() {
    if !cfg!(feature = "wgpu") {
        say("skipped: the device wgpu is not compiled in");
        return;
    }
    let Some(tensors) = omniglot_case() else {
        return;
    };
    let (folder, _) = scratch();
    for path in [tensors.with_extension("json"), tensors] {
        let name = path.file_name().expect("a file");
        std::fs::copy(&path, folder.path().join(name)).expect("copied");
    }
    let folder = folder.path().display().to_string();
    let args = ["parity", &folder, "--device", "wgpu", "--json"];
    let output = command(&args).output().expect("started");
    let text = stderr(&output);
    if is_without_driver(&text) {
        return;
    }
    assert!(output.status.success(), "{text}");
    assert!(text.contains("all 1 cases agree"), "{text}");
}

#[test]
fn help_lists_the_compiled_devices_only() {
    let output = command(&["train", "--help"]).output().expect("started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for (name, is_compiled) in [
        ("- flex:", cfg!(feature = "flex")),
        ("- ndarray:", cfg!(feature = "ndarray")),
        ("- wgpu:", cfg!(feature = "wgpu")),
        ("- cuda:", cfg!(feature = "cuda")),
    ] {
        assert_eq!(text.contains(name), is_compiled, "{name} in {text}");
    }
}

/// Kernels that training of some steps launches on wgpu, or none without a driver.
fn launches(steps: &str, episodes: &str) -> Option<usize> {
    let (folder, run) = scratch();
    let log = folder.path().join("kernels.log");
    let file = log.display();
    let settings = format!("[profiling]\nlogger = {{ level = \"minimal\", file = '{file}' }}\n");
    std::fs::write(folder.path().join("cubecl.toml"), settings).expect("written");
    let config = root().join("configs/smoke.toml").display().to_string();
    let steps = format!("training.steps={steps}");
    let meta_batch = format!("training.meta_batch={episodes}");
    let micro_batch = format!("training.micro_batch={episodes}");
    let args = [
        "train",
        &config,
        "--run",
        &run,
        "--device",
        "wgpu",
        "--set",
        &steps,
        "--set",
        &meta_batch,
        "--set",
        &micro_batch,
        "--set",
        "training.log_every=100",
        "--set",
        "training.validate_every=100",
        "--set",
        "training.checkpoint_every=100",
        "--set",
        "evaluation.test_episodes=2",
        "--set",
        "evaluation.validation_episodes=2",
    ];
    let output = command(&args).current_dir(folder.path()).output();
    let output = output.expect("started");
    let text = stderr(&output);
    if is_without_driver(&text) {
        return None;
    }
    assert!(output.status.success(), "{text}");
    let kernels = std::fs::read_to_string(&log).expect("a log of kernels");
    Some(kernels.lines().count())
}

#[test]
fn a_step_launches_few_kernels() {
    if !cfg!(feature = "wgpu") {
        say("skipped: the device wgpu is not compiled in");
        return;
    }
    let (Some(one), Some(five)) = (launches("1", "4"), launches("5", "4")) else {
        return;
    };
    let of_a_step = five.saturating_sub(one) / 4;
    assert!(
        (1..=MOST_LAUNCHES).contains(&of_a_step),
        "{of_a_step} kernels a step, expected at most {MOST_LAUNCHES}"
    );
    let of_more_episodes = launches("5", "12").expect("a driver, as before");
    let more = of_more_episodes.saturating_sub(five) / 5;
    assert!(
        more <= MOST_OF_EIGHT_EPISODES,
        "{more} kernels for 8 more episodes in a step, expected at most {MOST_OF_EIGHT_EPISODES}"
    );
}
