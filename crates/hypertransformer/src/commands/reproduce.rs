//! `hypertransformer reproduce`: the tables of docs/results.md, from configs to figures.
//!
//! A row is trained into `ROWS/ID`, resumed where it stopped and left alone when it is done. What is
//! known of all rows goes to `docs/results.json` and from there into the tables, and what each has on
//! every episode to `docs/records`, by which rows are compared when their runs are gone.

mod figure;
mod measuring;
mod report;
mod rows;
mod training;

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use ht_files::durable;
use ht_train::{EpisodeRecords, RunDir};
use serde_json::json;

use self::measuring::measured;
use self::report::Results;
use self::rows::{Row, Tables};
use self::training::trained;
use super::Outcome;
use super::stop_signal::StopSignal;
use crate::args::ReproduceArgs;
use crate::progress::{print, say};

/// Trains and measures rows, or checks one against what is recorded.
pub(crate) fn run(args: &ReproduceArgs) -> Result<Outcome> {
    let tables = Tables::read(&args.table)?;
    let stop = StopSignal::listen()?;
    if let Some(id) = &args.check {
        return check(tables.get(id)?, &tables, args, &stop);
    }
    for row in tables.chosen(&args.rows)? {
        let run = args.runs.join(&row.id);
        let Some(report) = trained(row, &run, &tables, args, &stop)? else {
            return Ok(Outcome::Stopped(stop.exit_code()));
        };
        let (recorded, records) = measured(row, &report, args)?;
        let _alone = alone(args)?;
        durable::create_folder(&args.records)?;
        records.write(&args.records.join(records_name(&row.id)))?;
        let mut results = Results::read(&args.results)?;
        results.keep(recorded);
        results.write(&args.results)?;
        print(&format!("{:40} {}", row.id, report.test));
    }
    let _alone = alone(args)?;
    // Hours may have passed.
    let tables = Tables::read(&args.table)?;
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
    let Some(report) = trained(row, &folder, tables, args, stop)? else {
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

/// Compares each row with the one that it names, where both have been run on the same episodes.
fn compare(tables: &Tables, results: &mut Results, args: &ReproduceArgs) -> Result<()> {
    for row in tables.rows() {
        let (Some(against), Some(found)) = (&row.against, results.get(&row.id)) else {
            continue;
        };
        let is_known = found.behind.is_some() && found.against.as_ref() == Some(against);
        let own = records_of(&row.id, results, args)?;
        let other = records_of(against, results, args)?;
        let (Some(own), Some(other)) = (own, other) else {
            if !is_known {
                say(&format!(
                    "{} is not compared with {against}: one of them has no records in {} or {}",
                    row.id,
                    args.records.display(),
                    args.runs.display()
                ));
                results.set_behind(&row.id, against, None);
            }
            continue;
        };
        match other.minus(&own) {
            Ok(difference) => results.set_behind(&row.id, against, Some(difference)),
            Err(cause) => say(&format!("{} against {against}: {cause}", row.id)),
        }
    }
    Ok(())
}

/// What a recorded row has on each episode, from its records or its run, if one of them is of the
/// parameters and the episodes that are recorded.
fn records_of(id: &str, results: &Results, args: &ReproduceArgs) -> Result<Option<EpisodeRecords>> {
    let Some(row) = results.get(id) else {
        return Ok(None);
    };
    let places = [
        args.records.join(records_name(id)),
        RunDir::records_of(&args.runs.join(id)),
    ];
    for place in places.iter().filter(|place| place.exists()) {
        let records = EpisodeRecords::read(place)?;
        let found = &records.measured;
        if found.parameters_sha256 == row.parameters_sha256
            && found.episodes_sha256 == row.episodes_sha256
        {
            return Ok(Some(records));
        }
    }
    Ok(None)
}

fn records_name(id: &str) -> PathBuf {
    PathBuf::from(format!("{id}.jsonl"))
}
