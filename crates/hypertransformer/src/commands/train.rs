//! `hypertransformer train`: from a config to a tested generator.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use burn::tensor::Device;
use ht_train::{
    BadSteps, Compute, Experiment, ExperimentConfig, RunDir, RunInfo, StartPart, TrainError,
    TrainOutcome, TrainReport, start_from, train,
};
use serde_json::json;

use super::stop_signal::StopSignal;
use super::{
    Outcome, absolute, best_checkpoint, experiment_config, machine, next_free, resolved, shown,
};
use crate::args::TrainArgs;
use crate::device::DeviceName;
use crate::progress::{TrainProgress, print, say};

/// Trains, or goes on with a run.
pub(crate) fn run(args: &TrainArgs) -> Result<Outcome> {
    let compute = args.compute.device.compute(args.compute.threads)?;
    let (config, data) = if args.resume {
        resumed(args)?
    } else {
        let config = experiment_config(args.config.as_deref(), &args.overrides)?;
        (config, args.data.clone())
    };
    let path = match &args.run {
        Some(path) => path.clone(),
        None => next_free(Path::new("runs"), &config.name)?,
    };
    let data = data.as_deref().map(absolute).transpose()?;
    // A run directory is made only for an experiment that is possible; but one that is
    // taken is said at once, before the data are read.
    if !args.resume {
        RunDir::check_free(&path)?;
    }
    let experiment = resolved(config, data.as_deref())?;
    let run = if args.resume {
        reopened(&path, &experiment, args.compute.device)?
    } else {
        let starts = [
            (&args.start, StartPart::All),
            (&args.image_encoder_from, StartPart::ImageEncoder),
            (&args.fitting_from, StartPart::Fitting),
        ];
        let mut starts = starts.into_iter();
        let other = starts.find_map(|(run, part)| Some((run.as_deref()?, part)));
        let info = RunInfo {
            data_sha256: Some(experiment.data_digest()),
            ..run_info(data, args.compute.device)
        };
        begin(&path, info, other, &experiment.config, &compute.device)?
    };
    let stop = StopSignal::listen()?;
    let bad_steps = if args.skip_bad_steps {
        BadSteps::Skip
    } else {
        BadSteps::Stop
    };

    let config = &experiment.config;
    say(&format!(
        "{}: {}, {} steps of {} episodes on {} ({} threads), run {}",
        config.name,
        config.episodes.size(),
        config.training.steps,
        config.training.meta_batch,
        args.compute.device,
        compute.n_threads,
        path.display(),
    ));
    match watched(&experiment, &run, &compute, bad_steps, &stop)? {
        TrainOutcome::Finished(report) => {
            report_result(&report, args);
            Ok(Outcome::Done)
        }
        TrainOutcome::ImageEncoder { accuracy } => {
            report_image_encoder(&path, accuracy, args);
            Ok(Outcome::Done)
        }
        TrainOutcome::Interrupted { step } => {
            say(&format!(
                "stopped after step {step}; everything is saved. Go on with:\n  \
                 cargo xtask train --run {} --resume",
                path.display()
            ));
            Ok(Outcome::Stopped(stop.exit_code()))
        }
    }
}

/// Makes a run that starts from nothing or from a part of another run or model.
pub(super) fn begin(
    path: &Path,
    info: RunInfo,
    start: Option<(&Path, StartPart)>,
    config: &ExperimentConfig,
    device: &Device,
) -> Result<RunDir> {
    let Some((place, part)) = start else {
        let run = RunDir::create(path, &info)?;
        run.begin(config)?;
        return Ok(run);
    };
    let checkpoint = absolute(&best_checkpoint(place)?)?;
    let info = RunInfo {
        start: Some(checkpoint.clone()),
        start_part: Some(part),
        ..info
    };
    let run = RunDir::create(path, &info)?;
    start_from(&run, &checkpoint, part, config, device).inspect_err(|_| run.remove())?;
    run.begin(config)?;
    Ok(run)
}

/// A run to go on with, here, if anything is left to do.
pub(super) fn reopened(path: &Path, experiment: &Experiment, device: DeviceName) -> Result<RunDir> {
    let run = RunDir::open(path)?;
    RunDir::check_data(path, experiment)?;
    if RunDir::report(path)?.is_none() {
        run.goes_on(&device.to_string(), &machine())?;
    }
    Ok(run)
}

/// Trains and shows how far it is.
pub(super) fn watched(
    experiment: &Experiment,
    run: &RunDir,
    compute: &Compute,
    bad_steps: BadSteps,
    stop: &StopSignal,
) -> Result<TrainOutcome> {
    let mut progress = TrainProgress::new(experiment.config.training.meta_batch as u64);
    let observe = &mut |event| progress.observe(event);
    let outcome = train(experiment, run, compute, bad_steps, stop.flag(), observe);
    progress.finish();
    Ok(outcome?)
}

/// What a run that starts from nothing runs on.
pub(super) fn run_info(data: Option<PathBuf>, device: DeviceName) -> RunInfo {
    RunInfo {
        data,
        device: device.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        machine: Some(machine()),
        data_sha256: None,
        start: None,
        start_part: None,
    }
}

/// Config and data folder of the run to go on with; they must not have changed.
fn resumed(args: &TrainArgs) -> Result<(ExperimentConfig, Option<PathBuf>)> {
    let Some(path) = &args.run else {
        bail!("--resume needs --run DIR");
    };
    let stored = RunDir::config(path)?;
    let asked = match &args.config {
        Some(config) => ExperimentConfig::load(config, &args.overrides)?,
        None => ExperimentConfig::parse(&stored.to_toml(), "config.toml", &args.overrides)?,
    };
    let differences = stored.differences(&asked);
    if !differences.is_empty() {
        return Err(TrainError::ConfigChanged {
            path: path.clone(),
            keys: differences.join(", "),
        }
        .into());
    }
    let data = match &args.data {
        Some(data) => Some(data.clone()),
        None => RunDir::info(path)?.data,
    };
    Ok((stored, data))
}

fn report_image_encoder(path: &Path, accuracy: Option<f64>, args: &TrainArgs) {
    let lines = [
        accuracy.map_or("all steps were made before".to_owned(), |accuracy| {
            format!("class head      {accuracy:.1} % of the last step's images")
        }),
        format!(
            "the image encoder is trained; start a run from it with --image-encoder-from {}",
            path.display()
        ),
    ];
    for line in lines {
        if args.json { say(&line) } else { print(&line) }
    }
    if args.json {
        print(&json!({ "run": shown(path), "class_head_accuracy": accuracy }).to_string());
    }
}

fn report_result(report: &TrainReport, args: &TrainArgs) {
    let lines = [
        format!(
            "test accuracy   {}, {}, {} statistics",
            report.test,
            report.method,
            report.norm_statistics.name()
        ),
        format!("pixel nearest   {}", report.pixel_nn),
        format!(
            "trained on {} episodes in {:.0} s; the checkpoint of step {} was the best on validation",
            report.train_episodes, report.train_seconds, report.best_step
        ),
        format!("the run lies in {}", report.run.display()),
    ];
    for line in lines {
        if args.json { say(&line) } else { print(&line) }
    }
    if args.json {
        let object = json!({
            "run": shown(&report.run),
            "method": report.method,
            "norm_statistics": report.norm_statistics,
            "test_accuracy": report.test.mean,
            "test_ci95": report.test.ci95,
            "test_episodes": report.test.episodes,
            "train_episodes": report.train_episodes,
            "train_seconds": report.train_seconds,
            "pixel_nn_accuracy": report.pixel_nn.mean,
            "pixel_nn_ci95": report.pixel_nn.ci95,
            "device": args.compute.device.to_string(),
            "best_step": report.best_step,
            "parameters_sha256": report.parameters_sha256,
        });
        print(&object.to_string());
    }
}
