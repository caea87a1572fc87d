//! Killed at any moment and resumed, a run ends as one that was never stopped.
//!
//! 30 kills here; `cargo xtask kill-test --kills N --seed S` asks for others by the environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use ht_files::sha256;
use serde_json::Value;

use crate::support::{command, names, say, scratch, stderr};

/// Much is written for little that is computed: a kill often falls into a write.
const ARGS: [&str; 10] = [
    "configs/smoke.toml",
    "--set",
    "training.steps=150",
    "--set",
    "training.checkpoint_every=2",
    "--set",
    "training.validate_every=7",
    "--set",
    "training.log_every=5",
    "--json",
];

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

/// A sequence of numbers in [0, 1) (splitmix64).
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// All files of a run with their digests, apart from the clock's numbers.
fn digest(run: &str) -> BTreeMap<String, String> {
    let mut digests = BTreeMap::new();
    let mut rest = vec![String::new()];
    while let Some(folder) = rest.pop() {
        for name in names(Path::new(run).join(&folder)) {
            let name = format!("{folder}{name}");
            let path = Path::new(run).join(&name);
            if path.is_dir() {
                rest.push(format!("{name}/"));
                continue;
            }
            let mut bytes = fs::read(&path).expect("read");
            let is_lines = name == "metrics.jsonl";
            if is_lines || path.extension().is_some_and(|end| end == "json") {
                let text = String::from_utf8(bytes).expect("text");
                bytes = without_clock(&text, is_lines);
            }
            digests.insert(name, sha256(&bytes));
        }
    }
    digests
}

fn without_clock(text: &str, is_lines: bool) -> Vec<u8> {
    let documents: Vec<&str> = if is_lines {
        text.lines().collect()
    } else {
        vec![text]
    };
    let plain = documents.into_iter().map(|document| {
        let mut value: Value = serde_json::from_str(document).expect("JSON");
        for key in ["train_seconds", "episodes_per_second", "seconds", "run"] {
            if let Some(object) = value.as_object_mut() {
                object.remove(key);
            }
            if let Some(window) = value.get_mut("window").and_then(Value::as_object_mut) {
                window.remove(key);
            }
        }
        value.to_string()
    });
    plain.collect::<Vec<_>>().join("\n").into_bytes()
}

/// Starts or resumes a run and kills it after `limit`; whether it had ended before.
fn go_on(run: &str, limit: Option<Duration>) -> bool {
    let is_begun = Path::new(run).join("config.toml").exists();
    let args = if is_begun {
        vec!["train", "--run", run, "--resume", "--json"]
    } else {
        [&["train", "--run", run], &ARGS[..]].concat()
    };
    let mut child = command(&args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    if let Some(limit) = limit {
        std::thread::sleep(limit);
        child.kill().expect("killed");
    }
    let output = child.wait_with_output().expect("ended");
    let text = stderr(&output);
    assert!(
        !text.contains("skipped:") && !text.contains("error:"),
        "{text}"
    );
    assert!(limit.is_some() || output.status.success(), "{text}");
    output.status.success()
}

#[test]
fn killed_anywhere_a_run_ends_the_same() {
    let n_kills = setting("HT_KILLS", 30);
    let mut moments = Moments(setting("HT_KILL_SEED", 1));
    let (folder, whole) = scratch();
    let started = Instant::now();
    assert!(go_on(&whole, None));
    let longest = started.elapsed() / 2;
    let expected = digest(&whole);

    let (mut n_killed, mut n_before, mut n_in_write, mut n_runs) = (0, 0, 0, 0);
    while n_killed < n_kills {
        n_runs += 1;
        let run = folder.path().join(format!("run-{n_runs}"));
        let run = run.display().to_string();
        while n_killed < n_kills {
            if go_on(&run, Some(longest.mul_f64(moments.next()))) {
                break;
            }
            n_killed += 1;
            if !Path::new(&run).join("config.toml").exists() {
                n_before += 1;
                continue;
            }
            let folders = ["", "checkpoints", "best"].map(|name| Path::new(&run).join(name));
            let is_dotted = |folder: &std::path::PathBuf| {
                folder.is_dir() && names(folder).iter().any(|name| name.starts_with('.'))
            };
            n_in_write += u64::from(folders.iter().any(is_dotted));
        }
        go_on(&run, None);
        assert_eq!(
            digest(&run),
            expected,
            "run {n_runs}, after kill {n_killed}"
        );
        fs::remove_dir_all(&run).expect("removed");
    }
    say(&format!(
        "{n_killed} kills in {n_runs} runs, {n_before} before the run had begun, {n_in_write} within \
         a write of a file or folder; every run ended with the same {} digests; {:.0} s",
        expected.len(),
        started.elapsed().as_secs_f64()
    ));
    assert!(
        n_kills < 20 || n_before < n_killed,
        "no kill reached the training"
    );
}
