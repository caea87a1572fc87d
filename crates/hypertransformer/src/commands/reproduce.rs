//! `hypertransformer reproduce`: the tables of docs/results.md, from configs to figures.
//!
//! A row is trained into `ROWS/ID`, resumed where it stopped and left alone when it is done. What is
//! known of all rows goes to `docs/results.json` and from there into the tables.

mod figure;
mod report;
mod rows;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use ht_cnn::NormStatistics;
use ht_episodes::{QueryPool, Split};
use ht_files::durable;
use ht_train::{
    BadSteps, EpisodeRecords, Experiment, ExperimentConfig, Learner, RunDir, RunInfo, StartPart,
    TrainOutcome, TrainReport, load_learner, measure,
};
use serde_json::json;

use self::report::{OtherStatistics, Recorded, Results, WholeClassQueries};
use self::rows::{Row, Tables};
use super::best_checkpoint;
use super::stop_signal::StopSignal;
use super::train::{begin, reopened, run_info, watched};
use super::{Outcome, absolute, resolved};
use crate::args::ReproduceArgs;
use crate::progress::{print, say};

/// Trains and measures rows, or checks one against what is recorded.
pub(crate) fn run(args: &ReproduceArgs) -> Result<Outcome> {
    let tables = Tables::read(&args.table)?;
    let stop = StopSignal::listen()?;
    if let Some(id) = &args.check {
        return check(tables.get(id)?, &tables, args, &stop);
    }
    for row in to_train(&tables, tables.chosen(&args.rows)?, &args.runs)? {
        let Some(report) = finished(row, &args.runs.join(&row.id), args, &stop)? else {
            return Ok(Outcome::Stopped(stop.exit_code()));
        };
        let recorded = recorded(row, &report, args)?;
        let _alone = alone(args)?;
        let mut results = Results::read(&args.results)?;
        results.keep(recorded);
        results.write(&args.results)?;
        print(&format!("{:40} {}", row.id, report.test));
    }
    let _alone = alone(args)?;
    let mut results = Results::read(&args.results)?;
    compare(&tables, &mut results, args)?;
    results.add_up(&tables)?;
    results.write(&args.results)?;
    report::write_tables(&tables, &results, &args.document)?;
    figure::write_all(&tables, &results, &args.figures)?;
    if args.json {
        print(&json!({ "rows": results.rows }).to_string());
    }
    Ok(Outcome::Done)
}

/// The rows, and before each those that it starts from and that are not done.
fn to_train<'a>(tables: &'a Tables, rows: Vec<&'a Row>, runs: &Path) -> Result<Vec<&'a Row>> {
    let mut found: Vec<&Row> = Vec::new();
    for row in rows {
        let mut path = vec![row];
        while let Some(start) = path.last().and_then(|row| row.start.as_ref())
            && RunDir::report(&runs.join(start))?.is_none()
        {
            path.push(tables.get(start)?);
        }
        for row in path.into_iter().rev() {
            if !found.iter().any(|other| other.id == row.id) {
                found.push(row);
            }
        }
    }
    Ok(found)
}

/// Waits until no other process changes what is known of all rows, and keeps others waiting: rows
/// may be trained side by side, and each is written into what the file says then.
fn alone(args: &ReproduceArgs) -> Result<File> {
    // What is written is replaced by new files; this one stays.
    let file = File::open(&args.table);
    let locked = file.and_then(|file| file.lock().map(|()| file));
    locked.with_context(|| format!("cannot lock {}", args.table.display()))
}

/// Trains a row again, from nothing, and compares it with what is recorded.
fn check(row: &Row, tables: &Tables, args: &ReproduceArgs, stop: &StopSignal) -> Result<Outcome> {
    let results = Results::read(&args.results)?;
    let recorded = results
        .get(&row.id)
        .with_context(|| format!("{} has no row {}", args.results.display(), row.id))?;
    let folder = args.runs.join(format!("check-{}", row.id));
    // A check that failed leaves its run, for whoever asks why.
    if RunDir::report(&folder)?.is_some() {
        durable::remove_folder(&folder)?;
    }
    let mut path = to_train(tables, vec![row], &args.runs)?;
    path.pop();
    for before in path {
        if finished(before, &args.runs.join(&before.id), args, stop)?.is_none() {
            return Ok(Outcome::Stopped(stop.exit_code()));
        }
    }
    let Some(report) = finished(row, &folder, args, stop)? else {
        return Ok(Outcome::Stopped(stop.exit_code()));
    };
    let apart = (report.test.mean - recorded.accuracy).abs();
    let allowed = report.test.ci95.hypot(recorded.ci95) + RETRAINING;
    let same = report.parameters_sha256 == recorded.parameters_sha256;
    let line = format!(
        "{}: {} now, {:.2} ± {:.2} recorded, {}",
        row.id,
        report.test,
        recorded.accuracy,
        recorded.ci95,
        if same {
            "the same parameters"
        } else {
            "other parameters"
        }
    );
    if args.json {
        let object = json!({
            "id": row.id,
            "method": report.method,
            "norm_statistics": report.norm_statistics,
            "accuracy": report.test.mean,
            "ci95": report.test.ci95,
            "episodes": report.test.episodes,
            "recorded": recorded.accuracy,
            "recorded_ci95": recorded.ci95,
            "allowed": allowed,
            "same_parameters": same,
        });
        print(&object.to_string());
    } else {
        print(&line);
    }
    if apart > allowed {
        bail!(
            "{line}: {apart:.2} points apart, expected at most {allowed:.2}; see {}",
            folder.display()
        );
    }
    durable::remove_folder(&folder)?;
    Ok(Outcome::Done)
}

/// Points by which a run with other rounding (another processor) may differ besides the intervals
/// of its test: measured on quickstarts, docs/results.md.
const RETRAINING: f64 = 1.5;

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
    let found = RunDir::info(path)?.start;
    let expected = row.place_to_start(&args.runs);
    let is_same = match (&found, &expected) {
        (Some(found), Some(expected)) => {
            found.iter().any(|part| Some(part) == expected.file_name())
        }
        (found, expected) => found.is_none() && expected.is_none(),
    };
    if !is_same {
        let name = |place: &Option<PathBuf>| {
            let place = place.as_ref().map(|place| place.display().to_string());
            place.unwrap_or_else(|| "random parameters".to_owned())
        };
        bail!(
            "{} started from {}, but the row from {}: move it away",
            path.display(),
            name(&found),
            name(&expected)
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
        return reopened(path, args.compute.device);
    }
    let start = row.place_to_start(&args.runs);
    let start = start.as_deref().map(|place| (place, StartPart::All));
    let info = RunInfo {
        data_sha256: Some(experiment.data_digest()),
        ..run_info(data, args.compute.device)
    };
    begin(path, info, start, &experiment.config, device)
}

fn data_folder(row: &Row, args: &ReproduceArgs) -> Result<Option<PathBuf>> {
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

/// Compares each row with the one that it names, where both have been run on the same episodes.
fn compare(tables: &Tables, results: &mut Results, args: &ReproduceArgs) -> Result<()> {
    let records = |id: &str| records_of(id, args);
    for row in tables.rows() {
        let Some(against) = &row.against else {
            continue;
        };
        let [own, other] = [&row.id, against].map(|id| records(id));
        let Some(found) = results.get_mut(&row.id) else {
            continue;
        };
        if !own.exists() || !other.exists() {
            if found.behind.is_none() {
                say(&format!(
                    "{} is not compared with {against}: one of them has no records in {}",
                    row.id,
                    args.records.display()
                ));
            }
            continue;
        }
        match EpisodeRecords::read(&other)?.minus(&EpisodeRecords::read(&own)?) {
            Ok(difference) => {
                found.against = Some(against.clone());
                found.behind = Some(difference.mean);
                found.behind_ci95 = Some(difference.ci95);
            }
            Err(cause) => say(&format!("{} against {against}: {cause}", row.id)),
        }
    }
    Ok(())
}

/// What a row has on each episode: it stays when the run is gone, so that further rows can be compared.
fn records_of(id: &str, args: &ReproduceArgs) -> PathBuf {
    args.records.join(format!("{id}.jsonl"))
}

/// What the results file says of a row by itself; its results by episode go into a file beside.
fn recorded(row: &Row, report: &TrainReport, args: &ReproduceArgs) -> Result<Recorded> {
    let run = args.runs.join(&row.id);
    let own = EpisodeRecords::read(&RunDir::records_of(&run))?;
    durable::create_folder(&args.records)?;
    own.write(&records_of(&row.id, args))?;
    let info = RunDir::info(&run)?;
    let config = row.experiment()?;
    let spec = config.cnn_spec()?;
    Ok(Recorded {
        id: row.id.clone(),
        method: report.method.clone(),
        norm_statistics: report.norm_statistics,
        accuracy: report.test.mean,
        ci95: report.test.ci95,
        episodes: report.test.episodes,
        paper: row.paper,
        against: row.against.clone(),
        behind: None,
        behind_ci95: None,
        other_statistics: other_statistics(row, &own, args)?,
        whole_class_queries: whole_class_queries(row, args)?,
        pixel_nn: report.pixel_nn.mean,
        pixel_nn_ci95: Some(report.pixel_nn.ci95),
        channels: config.cnn.channels,
        cnn_weights: spec.n_weights(),
        cnn_multiply_adds: spec.n_multiply_adds(),
        config: row.config.clone(),
        set: row.set.clone(),
        start: row.start_name(),
        seed: config.seed,
        train_episodes: report.train_episodes,
        hours: report.train_seconds / 3600.0,
        in_all: None,
        machine: info.machine,
        device: info.device,
        parameters_sha256: report.parameters_sha256.clone(),
        episodes_sha256: own.measured.episodes_sha256,
        data_sha256: Some(own.measured.data_sha256),
    })
}

/// A generator under the statistics that it was not trained with, on the same episodes.
fn other_statistics(
    row: &Row,
    own: &EpisodeRecords,
    args: &ReproduceArgs,
) -> Result<Option<OtherStatistics>> {
    if row.experiment()?.generator.is_none() {
        return Ok(None);
    }
    let norm_statistics = match own.measured.norm_statistics {
        NormStatistics::QueryBatch => NormStatistics::Support,
        NormStatistics::Support => NormStatistics::QueryBatch,
    };
    let other = measured_again(row, args, norm_statistics.name(), |model, _| {
        model.set_norm_statistics(norm_statistics);
    })?;
    let (accuracy, change) = (other.accuracy(), other.minus(own)?);
    Ok(Some(OtherStatistics {
        norm_statistics,
        accuracy: accuracy.mean,
        ci95: accuracy.ci95,
        change: change.mean,
        change_ci95: change.ci95,
    }))
}

/// A generator on episodes as the paper's code draws them, where the paper has a figure: support
/// images may be among the query images (docs/paper.md, deviation D4).
fn whole_class_queries(row: &Row, args: &ReproduceArgs) -> Result<Option<WholeClassQueries>> {
    let config = row.experiment()?;
    let is_disjoint = config.episodes.query_pool == QueryPool::Disjoint;
    if config.generator.is_none() || row.paper.is_none() || !is_disjoint {
        return Ok(None);
    }
    let accuracy = measured_again(row, args, "whole-class", |_, config| {
        config.episodes.query_pool = QueryPool::WholeClass;
    })?
    .accuracy();
    Ok(Some(WholeClassQueries {
        accuracy: accuracy.mean,
        ci95: accuracy.ci95,
    }))
}

/// Tests a row with something changed. The records stay in the run, under the name of the change, so
/// that it is measured once.
fn measured_again(
    row: &Row,
    args: &ReproduceArgs,
    name: &str,
    change: impl FnOnce(&mut Learner, &mut ExperimentConfig),
) -> Result<EpisodeRecords> {
    let run = args.runs.join(&row.id);
    let path = run.join(format!("test-{name}.jsonl"));
    if !path.exists() {
        let compute = args.compute.device.compute(args.compute.threads)?;
        let (mut model, mut config, _) = load_learner(&best_checkpoint(&run)?, &compute.device)?;
        change(&mut model, &mut config);
        let experiment = Experiment::resolve(config, data_folder(row, args)?.as_deref())?;
        RunDir::check_data(&run, &experiment)?;
        let config = &experiment.config;
        let episodes = experiment.fixed_episodes(Split::Test, config.evaluation.test_episodes);
        measure(&model, config, &episodes, &compute)?.write(&path)?;
    }
    Ok(EpisodeRecords::read(&path)?)
}
