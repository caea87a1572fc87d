//! `hypertransformer compare`: which of two methods is better on the same episodes, and how surely.

use std::path::Path;

use anyhow::Result;
use ht_train::{EpisodeRecords, RunDir};
use serde_json::json;

use super::Outcome;
use crate::args::CompareArgs;
use crate::progress::print;

/// Prints both accuracies and their difference, paired by episode.
pub(crate) fn run(args: &CompareArgs) -> Result<Outcome> {
    let [first, second] = [read(&args.first)?, read(&args.second)?];
    let difference = first.minus(&second)?;
    let [of_first, of_second] = [first.accuracy(), second.accuracy()];
    if args.json {
        let side = |records: &EpisodeRecords| {
            let accuracy = records.accuracy();
            json!({
                "method": records.measured.method,
                "norm_statistics": records.measured.norm_statistics,
                "accuracy": accuracy.mean,
                "ci95": accuracy.ci95,
            })
        };
        let object = json!({
            "first": side(&first),
            "second": side(&second),
            "difference": difference.mean,
            "difference_ci95": difference.ci95,
            "episodes": difference.episodes,
            "episodes_sha256": first.measured.episodes_sha256,
        });
        print(&object.to_string());
        return Ok(Outcome::Done);
    }
    for (records, accuracy) in [(&first, of_first), (&second, of_second)] {
        let measured = &records.measured;
        print(&format!(
            "{:17}{accuracy}, {} statistics",
            measured.method,
            measured.norm_statistics.name()
        ));
    }
    let is_apart = difference.mean.abs() > difference.ci95;
    print(&format!(
        "difference       {:+.2} ± {:.2} points (paired, 95 % interval, n = {}): {}",
        difference.mean,
        difference.ci95,
        difference.episodes,
        if is_apart { "apart" } else { "not apart" }
    ));
    Ok(Outcome::Done)
}

/// The records of a run's final test, or of a file.
fn read(path: &Path) -> Result<EpisodeRecords> {
    let file = if path.is_dir() {
        RunDir::records_of(path)
    } else {
        path.to_owned()
    };
    Ok(EpisodeRecords::read(&file)?)
}
