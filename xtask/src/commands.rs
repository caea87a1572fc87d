//! What the commands spawn.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::tidy;

/// Devices that the tests compile and use unless others are named.
const TEST_DEVICES: [&str; 3] = ["flex", "ndarray", "wgpu"];
const DEVICES: [&str; 5] = ["flex", "ndarray", "wgpu", "vulkan", "cuda"];

pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Builds the binary with the feature of `--device` and runs it.
pub(crate) fn run_binary(command: &str, args: &[String]) -> Result<ExitCode> {
    let (feature, args) = device_feature(args)?;
    // Not in the root: paths mean what they mean where the person stands.
    let mut cargo = Command::new(cargo_path());
    cargo
        .args([
            "run",
            "--release",
            "--quiet",
            "--package",
            "hypertransformer",
        ])
        .arg("--manifest-path")
        .arg(root().join("Cargo.toml"))
        .args(["--no-default-features", "--features", &feature])
        .args(["--", command])
        .args(args);
    become_command(cargo)
}

/// The cargo feature that `--device` asks for, and the arguments for the binary.
fn device_feature(args: &[String]) -> Result<(String, Vec<String>)> {
    let mut feature = "flex".to_owned();
    let mut passed = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let device = match arg.strip_prefix("--device") {
            Some("") => rest.next().cloned().unwrap_or_default(),
            Some(joined) if joined.starts_with('=') => joined[1..].to_owned(),
            _ => {
                passed.push(arg.clone());
                continue;
            }
        };
        check_device(&device)?;
        // With the SPIR-V compiler built in, the binary's device is still called wgpu.
        let name = if device == "vulkan" { "wgpu" } else { &device };
        passed.extend(["--device".to_owned(), name.to_owned()]);
        feature = device;
    }
    Ok((feature, passed))
}

/// Hands the process over, so that Ctrl-C and exit codes are the command's own.
#[cfg(unix)]
fn become_command(mut command: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("cannot start cargo")
}

#[cfg(not(unix))]
fn become_command(mut command: Command) -> Result<ExitCode> {
    let status = command.status().context("cannot start cargo")?;
    let code = status.code().map_or(1, |code| code as u8);
    Ok(ExitCode::from(code))
}

/// Everything that must hold before a change is merged.
pub(crate) fn test(args: &[String]) -> Result<ExitCode> {
    let mut devices: Vec<String> = Vec::new();
    let mut rest = args;
    while let [flag, device, more @ ..] = rest {
        if flag != "--device" {
            break;
        }
        check_device(device)?;
        devices.push(device.clone());
        rest = more;
    }
    if let Some(unknown) = rest.first() {
        bail!("test: {unknown:?}, expected --device NAME");
    }
    if devices.is_empty() {
        devices = TEST_DEVICES.map(str::to_owned).to_vec();
    }
    let features: String = devices
        .iter()
        .map(|device| format!("hypertransformer/{device}"))
        .collect::<Vec<_>>()
        .join(",");
    let features = ["--no-default-features", "--features", &features];
    let workspace = ["--workspace", "--all-targets"];

    tidy()?;
    supply_chain()?;
    step("format", cargo().args(["fmt", "--all", "--check"]))?;
    step(
        "clippy",
        cargo()
            .args(["clippy", "--release"])
            .args(workspace)
            .args(features)
            .args(["--", "-D", "warnings"]),
    )?;
    step(
        "docs",
        cargo()
            .args(["doc", "--release", "--workspace", "--no-deps"])
            .args(features)
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    // Benches are compiled by clippy; --all-targets would run them as tests.
    step(
        "tests",
        cargo()
            .args([
                "test",
                "--release",
                "--workspace",
                "--lib",
                "--bins",
                "--tests",
                "--examples",
            ])
            .args(features),
    )?;
    step(
        "doctests and README",
        cargo()
            .args(["test", "--release", "--workspace", "--doc"])
            .args(features),
    )?;
    say("all checks passed");
    Ok(ExitCode::SUCCESS)
}

/// Licences, sources and bans of `deny.toml`, where cargo-deny is installed. Advisories need a
/// database from the network: `cargo deny check`.
fn supply_chain() -> Result<()> {
    let is_there = cargo().args(["deny", "--version"]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        say("== cargo deny: skipped, it is not installed (cargo install cargo-deny --locked)");
        return Ok(());
    }
    let mut command = cargo();
    command.args(["deny", "--log-level", "error", "check"]);
    command.args(["licenses", "bans", "sources"]);
    step("cargo deny", &mut command)
}

/// The rules of the house.
pub(crate) fn tidy() -> Result<ExitCode> {
    let root = root();
    let findings = tidy::check(&root)?;
    if findings.is_empty() {
        say("tidy: ok");
        return Ok(ExitCode::SUCCESS);
    }
    bail!("tidy:\n  {}", findings.join("\n  "))
}

/// Criterion benches.
pub(crate) fn bench(args: &[String]) -> Result<ExitCode> {
    step(
        "bench",
        cargo()
            .args(["bench", "--package", "ht-benches", "--"])
            .args(args),
    )?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn step(name: &str, command: &mut Command) -> Result<()> {
    say(&format!("== {name}"));
    let started = Instant::now();
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("{name} failed");
    }
    say(&format!(
        "== {name}: ok ({:.0} s)",
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Cargo sets CARGO for what it runs, so both use the same toolchain.
fn cargo_path() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

pub(crate) fn cargo() -> Command {
    let mut command = Command::new(cargo_path());
    command.current_dir(root());
    command
}

pub(crate) fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map_or_else(|| xtask.clone(), PathBuf::from)
}

fn check_device(device: &str) -> Result<()> {
    if DEVICES.contains(&device) {
        Ok(())
    } else {
        bail!("--device {device}: expected one of {}", DEVICES.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(args: &[&str]) -> Result<(String, Vec<String>)> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        device_feature(&args)
    }

    #[test]
    fn a_device_becomes_a_feature() {
        let (feature, passed) = split(&["a.toml", "--run", "vulkan"]).expect("valid");
        assert_eq!(feature, "flex");
        assert_eq!(passed, ["a.toml", "--run", "vulkan"]);
        let (feature, passed) = split(&["--device=vulkan", "--json"]).expect("valid");
        assert_eq!(feature, "vulkan");
        assert_eq!(passed, ["--device", "wgpu", "--json"]);
        let (feature, _) = split(&["--device", "cuda"]).expect("valid");
        assert_eq!(feature, "cuda");
        assert!(split(&["--device", "abacus"]).is_err());
        assert!(split(&["--device"]).is_err());
    }
}
