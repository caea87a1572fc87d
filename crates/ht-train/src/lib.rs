//! Meta-training of a HyperTransformer, evaluation, and what is kept on disk.
//!
//! One training step, which is all of the method's optimisation (paper, equation 1):
//!
//! ```text
//! plans   = EpisodeSampler.plan(seed, train, step * E + i)  for i in 0..E
//! cnns    = WeightGenerator.generate(support)
//! logits  = cnns.forward(query images)
//! loss    = cross-entropy(logits, query labels)
//! update  = Adam(clip(gradient of loss))
//! ```
//!
//! There is no inner loop. The meta-batch of E episodes is worked off in micro-batches,
//! on as many threads as the machine has; their gradients are added in a fixed order, so
//! the result does not depend on the number of threads.
//!
//! Reading order: [`ExperimentConfig`], `loss`, `step`, [`train()`], [`evaluate()`]; the rest
//! stores and loads.

mod accuracy;
mod bad_step;
mod calibration;
mod checkpoint;
mod clustered;
mod config;
mod episode_logits;
mod error;
mod evaluate;
mod experiment;
mod final_test;
mod learner;
mod loss;
mod metrics;
mod optimizer;
mod parallel;
mod parameters;
mod pixel_nn;
mod predictions;
mod records;
mod reliability;
mod resume;
mod run_dir;
mod schedule;
mod start;
mod step;
mod temperature;
mod train;

pub use accuracy::Accuracy;
pub use bad_step::{BadSteps, SkippedSteps};
pub use calibration::{Calibration, CalibrationReport, Threshold};
pub use checkpoint::{CheckpointInfo, load_learner, parameters_digest, save_parameters};
pub use clustered::ClusteredRate;
pub use config::{
    DataConfig, EpisodesConfig, EvaluationConfig, ExperimentConfig, Override, TrainingConfig,
    TrainingObjective, UnlabelledConfig,
};
pub use episode_logits::{EpisodeLogits, episode_logits};
pub use error::TrainError;
pub use evaluate::{FixedEpisodes, evaluate, measure};
pub use experiment::Experiment;
pub use final_test::TrainReport;
pub use learner::{Learner, Method};
pub use loss::{BatchLoss, LossConfig, batch_loss, n_correct, query_loss};
pub use metrics::{Metric, MetricsLog, WindowSums};
pub use optimizer::{MetaOptimizer, OptimizerConfig};
pub use parameters::{ParameterSlot, from_vector, gradient_vector, slots, to_vector};
pub use pixel_nn::pixel_nearest_neighbour;
pub use predictions::{Prediction, best_label, predict};
pub use records::{EpisodeRecords, Measured};
pub use reliability::{Reliability, ReliabilityBin};
pub use run_dir::{RunDir, RunInfo};
pub use schedule::{Decay, ScheduleConfig};
pub use start::{StartPart, start_from};
pub use step::{Objective, StepFigures, StepResult, meta_gradient};
pub use temperature::Temperature;
pub use train::{Compute, TrainEvent, TrainOutcome, train, training_batches};

/// The README's library example, so that the compiler reads it.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
