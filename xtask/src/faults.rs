//! The tests of faults at greater length than `test` runs them: they are ordinary tests, asked by
//! the environment.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::commands::{cargo, step};

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

/// Changes stored files at random and reads them.
pub(crate) fn fuzz(args: &[String]) -> Result<ExitCode> {
    let [seconds, seed] = numbers(args, [("--seconds", 10), ("--seed", 1)])?;
    run(
        "ht-train",
        "fuzz",
        "changed_files",
        &[("HT_FUZZ_SECONDS", seconds), ("HT_FUZZ_SEED", seed)],
    )
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
