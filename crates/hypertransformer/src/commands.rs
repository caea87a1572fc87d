//! The commands, one file each, and what they share.

pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod deploy;
pub(crate) mod episodes;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod import_tf;
pub(crate) mod inspect;
mod left_out;
pub(crate) mod models;
pub(crate) mod parity;
pub(crate) mod reproduce;
mod stop_signal;
pub(crate) mod train;
mod trained;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ht_train::{Experiment, ExperimentConfig, Override, RunDir};

use self::left_out::say_left_out;
use crate::progress::say;

/// How a command ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As asked.
    Done,
    /// By a signal, with everything saved; with the exit code that stands for it.
    Stopped(u8),
}

/// The experiment of a config on its data; says what of a folder is not read.
fn resolved(config: ExperimentConfig, data: Option<&Path>) -> Result<Experiment> {
    let experiment = Experiment::resolve(config, data)?;
    let images = experiment.train_sampler.images();
    say_left_out(images.left_out(), "in class folders");
    Ok(experiment)
}

/// The experiment of a config file, or the built-in one.
fn experiment_config(path: Option<&Path>, overrides: &[Override]) -> Result<ExperimentConfig> {
    Ok(match path {
        Some(path) => ExperimentConfig::load(path, overrides)?,
        None => ExperimentConfig::quickstart(overrides)?,
    })
}

/// The best checkpoint of a run; damaged ones are named and the one before is used.
fn best_checkpoint(run: &Path) -> Result<PathBuf> {
    if models::is_model(run) {
        return Ok(run.to_owned());
    }
    Ok(RunDir::best_checkpoint(run, &mut |error| {
        say(&format!("skipped: {error}"));
    })?)
}

/// A path as JSON has it: what is no UTF-8 in it is replaced.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A path that still means the same from another working directory.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("no such path: {}", path.display()))
}

/// `runs/NAME`, or `runs/NAME-2`, `runs/NAME-3`, ..: a new run never touches an old one.
fn next_free(root: &Path, name: &str) -> Result<PathBuf> {
    (1..10_000)
        .map(|n| match n {
            1 => root.join(name),
            n => root.join(format!("{name}-{n}")),
        })
        .find(|path| !path.exists())
        .context("no free run directory: clean up runs/ or name one with --run")
}

/// Processor and cores, for whoever reads the hours.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
    let model = model.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{cores} cores, {model}")
}
