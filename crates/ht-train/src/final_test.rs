//! The final test: the best checkpoint by validation, on test episodes that nothing else saw.

use std::path::PathBuf;

use ht_cnn::NormStatistics;
use ht_episodes::Split;
use serde::{Deserialize, Serialize};

use crate::resume::best_model;
use crate::{
    Accuracy, Compute, Experiment, Metric, MetricsLog, RunDir, TrainError, TrainEvent, measure,
};
use ht_files::durable;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// The run directory.
    pub run: PathBuf,
    /// Name of the method.
    pub method: String,
    /// Whose statistics normalised the query images.
    pub norm_statistics: NormStatistics,
    /// Accuracy of the best checkpoint on the test episodes.
    pub test: Accuracy,
    /// Pixel nearest neighbour on the same episodes.
    pub pixel_nn: Accuracy,
    /// Updates of the tested checkpoint.
    pub best_step: u64,
    /// Episodes that were trained on.
    pub train_episodes: u64,
    /// Seconds of training, validations included, over all resumes.
    pub train_seconds: f64,
    /// SHA-256 over the tested parameters.
    pub parameters_sha256: String,
}

/// Tests the best checkpoint, and pixel nearest neighbour on the same episodes.
pub(crate) fn final_test(
    experiment: &Experiment,
    run: &RunDir,
    step: u64,
    train_seconds: f64,
    compute: &Compute,
    metrics: &mut MetricsLog,
    observe: &mut dyn FnMut(TrainEvent),
) -> Result<TrainReport, TrainError> {
    let (model, best_step) = best_model(run, &compute.device, observe)?;
    let config = &experiment.config;
    let n_episodes = config.evaluation.test_episodes;
    observe(TrainEvent::Testing {
        best_step,
        episodes: n_episodes,
    });
    let episodes = experiment.fixed_episodes(Split::Test, n_episodes);
    let records = measure(&model, config, &episodes, compute)?;
    records.write(&run.records())?;
    let test = records.accuracy();
    let pixel_nn = Accuracy::of(&episodes.pixel_nearest_neighbour());
    metrics.write(&Metric::Test {
        step,
        best_step,
        accuracy: test.mean,
        ci95: test.ci95,
        episodes: test.episodes,
        pixel_nn_accuracy: pixel_nn.mean,
    })?;
    metrics.sync()?;
    let report = TrainReport {
        run: run.path().to_owned(),
        method: records.measured.method.clone(),
        norm_statistics: records.measured.norm_statistics,
        test,
        pixel_nn,
        best_step,
        train_episodes: step * config.training.meta_batch as u64,
        train_seconds,
        parameters_sha256: records.measured.parameters_sha256,
    };
    let text = serde_json::to_string_pretty(&report)
        .map_err(|cause| TrainError::file("write", &run.result(), cause))?;
    durable::replace_file(&run.result(), text.as_bytes())?;
    Ok(report)
}
