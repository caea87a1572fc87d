//! A row's run: where it begins, going on with it, and what it starts from.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use ht_train::{BadSteps, Experiment, RunDir, RunInfo, StartPart, TrainOutcome, TrainReport};

use super::rows::{Row, Tables};
use crate::args::ReproduceArgs;
use crate::commands::stop_signal::StopSignal;
use crate::commands::train::{begin, reopened, run_info, watched};
use crate::commands::{absolute, models, resolved};
use crate::progress::say;

/// The result of a row in the folder `path`, trained as far as it still has to be, and before it what
/// it starts from; none if that was interrupted.
pub(super) fn trained(
    row: &Row,
    path: &Path,
    tables: &Tables,
    args: &ReproduceArgs,
    stop: &StopSignal,
) -> Result<Option<TrainReport>> {
    for start in starts(row, path, tables, &args.runs)? {
        say(&format!(
            "{} starts from {}, whose run is not in {} or not done: that is trained first",
            row.id,
            start.id,
            args.runs.display()
        ));
        if finished(start, &args.runs.join(&start.id), args, stop)?.is_none() {
            return Ok(None);
        }
    }
    finished(row, path, args, stop)
}

/// The rows that have to be trained before one, the first of them first. A run that has begun has what
/// it started from.
fn starts<'a>(row: &'a Row, path: &Path, tables: &'a Tables, runs: &Path) -> Result<Vec<&'a Row>> {
    let mut found = Vec::new();
    let (mut row, mut path) = (row, path.to_owned());
    while let Some(start) = &row.start
        && !path.join("config.toml").exists()
    {
        path = runs.join(start);
        if RunDir::report(&path)?.is_some() {
            break;
        }
        row = tables.get(start)?;
        found.push(row);
    }
    found.reverse();
    Ok(found)
}

/// The result of a row, trained as far as it still has to be; none if it was interrupted.
fn finished(
    row: &Row,
    path: &Path,
    args: &ReproduceArgs,
    stop: &StopSignal,
) -> Result<Option<TrainReport>> {
    let config = row.experiment()?;
    if path.join("config.toml").exists() {
        let differences = RunDir::config(path)?.differences(&config);
        if !differences.is_empty() {
            let keys = differences.join(", ");
            bail!(
                "{} is a run of another config ({keys}): move it away",
                path.display()
            );
        }
        check_start(row, path, args)?;
        if let Some(report) = RunDir::report(path)? {
            say(&format!("{}: done already", row.id));
            return Ok(Some(report));
        }
    }
    let data = data_folder(row, args)?;
    let compute = args.compute.device.compute(args.compute.threads)?;
    let experiment = resolved(config, data.as_deref())?;
    let run = open(row, path, &experiment, data, args, &compute.device)?;
    say(&format!("{}: training in {}", row.id, path.display()));
    match watched(&experiment, &run, &compute, BadSteps::Stop, stop)? {
        TrainOutcome::Finished(report) => Ok(Some(report)),
        TrainOutcome::Interrupted { step } => {
            say(&format!(
                "{}: stopped after step {step}; run the same command to go on",
                row.id
            ));
            Ok(None)
        }
        TrainOutcome::ImageEncoder { .. } => {
            bail!(
                "{}: it trains an image encoder alone, which has no test",
                row.id
            )
        }
    }
}

/// Whether a run began where its row begins: folders may have moved since, names have not.
fn check_start(row: &Row, path: &Path, args: &ReproduceArgs) -> Result<()> {
    let RunInfo {
        start: found,
        start_part: part,
        ..
    } = RunDir::info(path)?;
    let part = part.unwrap_or_default();
    let expected = row.place_to_start(&args.runs);
    let is_same = match (&found, &expected) {
        (Some(found), Some(expected)) => {
            let mut names = found.iter();
            names.any(|name| Some(name) == expected.file_name()) && part == row.start_part
        }
        (found, expected) => found.is_none() && expected.is_none(),
    };
    if !is_same {
        let name = |place: &Option<PathBuf>, part: StartPart| match place {
            Some(place) => format!("{} {}", part.of(), place.display()),
            None => "random parameters".to_owned(),
        };
        bail!(
            "{} started from {}, but the row from {}: move it away",
            path.display(),
            name(&found, part),
            name(&expected, row.start_part)
        );
    }
    Ok(())
}

fn open(
    row: &Row,
    path: &Path,
    experiment: &Experiment,
    data: Option<PathBuf>,
    args: &ReproduceArgs,
    device: &Device,
) -> Result<RunDir> {
    if path.join("config.toml").exists() {
        return reopened(path, experiment, args.compute.device);
    }
    if let Some(model) = &row.start_model
        && !models::is_model(model)
    {
        bail!(
            "row {}: start_model {} is no model, expected a folder with model.json",
            row.id,
            model.display()
        );
    }
    let start = row.place_to_start(&args.runs);
    let start = start.as_deref().map(|place| (place, row.start_part));
    let info = RunInfo {
        data_sha256: Some(experiment.data_digest()),
        ..run_info(data, args.compute.device)
    };
    begin(path, info, start, &experiment.config, device)
}

/// The folder of a row's data set, if it has one.
pub(super) fn data_folder(row: &Row, args: &ReproduceArgs) -> Result<Option<PathBuf>> {
    let Some(name) = &row.data else {
        return Ok(None);
    };
    let folder = args.data.as_ref().with_context(|| {
        format!(
            "{} reads the data set {name}: name the folder of the data sets with --data",
            row.id
        )
    })?;
    Ok(Some(absolute(&folder.join(name))?))
}
