//! The tests of faults at greater length than `test` runs them: they are ordinary tests, asked by
//! the environment.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::commands::{cargo, root, step};

/// Kills training at random moments and resumes it.
pub(crate) fn kill_test(args: &[String]) -> Result<ExitCode> {
    let [kills, seed] = numbers(args, [("--kills", 30), ("--seed", 1)])?;
    run(
        "hypertransformer",
        "it",
        "kill::",
        &[("HT_KILLS", kills), ("HT_KILL_SEED", seed)],
    )
}

/// Readers that cargo-fuzz leads by coverage: the folder of their programs, where a file that one
/// fails on is kept, and their names.
const GUIDED: [(&str, &str, &[&str]); 2] = [
    (
        "crates/ht-bundle/fuzz",
        "crates/ht-bundle/tests/found",
        &[
            "device-file",
            "bundle-manifest",
            "bundle-weights",
            "bundle-golden",
        ],
    ),
    (
        "crates/ht-train/fuzz",
        "crates/ht-train/tests/fuzz/found",
        &[
            "npz",
            "npz-array",
            "npy",
            "zip",
            "pickle",
            "png",
            "jpeg",
            "csv",
            "toml",
            "manifest",
            "safetensors",
            "metrics",
            "lists",
        ],
    ),
];

/// Changes stored files at random and reads them.
pub(crate) fn fuzz(args: &[String]) -> Result<ExitCode> {
    if let [flag, rest @ ..] = args
        && flag == "--guided"
    {
        return guided_fuzz(rest);
    }
    let [seconds, seed] = numbers(args, [("--seconds", 10), ("--seed", 1)])?;
    run(
        "ht-train",
        "fuzz",
        "changed_files",
        &[("HT_FUZZ_SECONDS", seconds), ("HT_FUZZ_SEED", seed)],
    )
}

/// Runs cargo-fuzz on each reader, in 256 MB. The compiler's own sanitizers need nightly and look for
/// faults that code without `unsafe` has not; overflow checks are on.
fn guided_fuzz(args: &[String]) -> Result<ExitCode> {
    let [seconds] = numbers(args, [("--seconds", 10)])?;
    let is_there = cargo().args(["fuzz", "--version"]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        bail!("cargo-fuzz is not installed (cargo install cargo-fuzz --locked)");
    }
    for (folder, found, readers) in GUIDED {
        for reader in readers {
            let corpus = format!("target/fuzz/corpus/{reader}");
            let found = format!("{found}/{reader}/");
            for folder in [&corpus, &found] {
                fs::create_dir_all(root().join(folder))
                    .with_context(|| format!("cannot make {folder}"))?;
            }
            let mut command = cargo();
            command.args(["fuzz", "run", "--fuzz-dir", folder, "--sanitizer", "none"]);
            command.args(["--target-dir", "target/fuzz", reader, &corpus, "--"]);
            command.args(["-max_len=65536", "-rss_limit_mb=256", "-timeout=10"]);
            command.args(["-report_slow_units=1", "-print_final_stats=1"]);
            command.arg(format!("-max_total_time={seconds}"));
            command.arg(format!("-artifact_prefix={found}"));
            step(reader, &mut command)?;
            // Kept where there is something to keep.
            let _ = fs::remove_dir(root().join(&found));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run(package: &str, target: &str, filter: &str, settings: &[(&str, u64)]) -> Result<ExitCode> {
    let mut command = cargo();
    command.args(["test", "--release", "--package", package, "--test", target]);
    command.args(["--", filter, "--nocapture", "--test-threads=2"]);
    for (name, value) in settings {
        command.env(name, value.to_string());
    }
    step(target, &mut command)?;
    Ok(ExitCode::SUCCESS)
}

/// Values of flags that take a number, or their defaults.
fn numbers<const N: usize>(args: &[String], flags: [(&str, u64); N]) -> Result<[u64; N]> {
    let mut values = flags.map(|(_, default)| default);
    let mut rest = args;
    while let [flag, value, more @ ..] = rest {
        let Some(place) = flags.iter().position(|(known, _)| known == flag) else {
            break;
        };
        values[place] = value
            .parse()
            .with_context(|| format!("{flag} {value}: expected a number"))?;
        rest = more;
    }
    match rest.first() {
        None => Ok(values),
        Some(unknown) => bail!(
            "{unknown:?}: expected one of {:?}",
            flags.map(|(flag, _)| flag)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_with_numbers() {
        let read = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            numbers(&args, [("--kills", 30), ("--seed", 1)])
        };
        assert_eq!(read(&[]).expect("defaults"), [30, 1]);
        assert_eq!(read(&["--seed", "7"]).expect("valid"), [30, 7]);
        assert!(read(&["--kills"]).is_err());
        assert!(read(&["--kills", "many"]).is_err());
        assert!(read(&["--speed", "7"]).is_err());
    }
}
