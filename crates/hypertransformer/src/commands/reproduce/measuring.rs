//! What is measured of a row that is trained: its test, and the same test with something changed.

use anyhow::Result;
use ht_cnn::NormStatistics;
use ht_episodes::{QueryPool, Split};
use ht_train::{
    EpisodeRecords, Experiment, ExperimentConfig, Learner, RunDir, StartPart, TrainReport,
    load_learner, measure,
};

use super::report::{OtherStatistics, Recorded, WholeClassQueries};
use super::rows::Row;
use super::training::data_folder;
use crate::args::ReproduceArgs;
use crate::commands::best_checkpoint;

/// What the results file says of a row by itself, and its results by episode.
pub(super) fn measured(
    row: &Row,
    report: &TrainReport,
    args: &ReproduceArgs,
) -> Result<(Recorded, EpisodeRecords)> {
    let run = args.runs.join(&row.id);
    let own = EpisodeRecords::read(&RunDir::records_of(&run))?;
    let info = RunDir::info(&run)?;
    let config = row.experiment()?;
    let spec = config.cnn_spec()?;
    let recorded = Recorded {
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
        start_part: Some(row.start_part).filter(|part| *part != StartPart::All),
        seed: config.seed,
        train_episodes: report.train_episodes,
        hours: report.train_seconds / 3600.0,
        in_all: None,
        machine: info.machine,
        device: info.device,
        parameters_sha256: report.parameters_sha256.clone(),
        episodes_sha256: own.measured.episodes_sha256.clone(),
        data_sha256: Some(own.measured.data_sha256.clone()),
    };
    Ok((recorded, own))
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
