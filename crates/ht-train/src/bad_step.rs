//! A step whose numbers have gone wrong: which episodes did it, and whether to go on without it.

use burn::tensor::{Device, Tensor};
use ht_episodes::{Split, collate};
use serde::{Deserialize, Serialize};

use crate::{
    Experiment, Learner, Objective, StepFigures, TrainError, TrainingConfig, meta_gradient,
};

/// A larger loss comes from no sound parameters: that of guessing among 1000 classes is 7.
const LARGEST_LOSS: f64 = 1e6;
/// After as many bad steps in a row it is the parameters that are bad.
const MOST_IN_A_ROW: u64 = 100;
/// Episodes that a message names.
const MOST_NAMED: usize = 8;

/// What is done about a step whose loss or gradient is no number, or whose loss is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSteps {
    /// Training ends with an error.
    Stop,
    /// The step is made without an update and counted; a hundred in a row are an error.
    Skip,
}

/// Steps that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedSteps {
    /// Of the whole run.
    pub total: u64,
    /// Since the last good step.
    pub in_a_row: u64,
}

/// A bad step and what made it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadStep {
    pub(crate) cause: String,
    /// Indices of training episodes.
    pub(crate) episodes: Vec<u64>,
}

impl StepFigures {
    /// What is wrong with a step, if anything is; `largest_loss` is `training.largest_loss`.
    pub fn fault(&self, largest_loss: Option<f64>) -> Option<String> {
        let largest = largest_loss.unwrap_or(LARGEST_LOSS);
        if !self.loss.is_finite() {
            Some("the loss is not finite".to_owned())
        } else if self.loss > largest {
            Some(format!("the loss is {:.4e}, above {largest:e},", self.loss))
        } else if !self.gradient_norm.is_finite() {
            Some("the gradient is not finite".to_owned())
        } else {
            None
        }
    }
}

impl SkippedSteps {
    /// Counts one more, if that is what is wanted.
    pub(crate) fn skip(&mut self, policy: BadSteps) -> bool {
        let may = policy == BadSteps::Skip && self.in_a_row + 1 < MOST_IN_A_ROW;
        if may {
            self.total += 1;
            self.in_a_row += 1;
        }
        may
    }
}

impl BadStep {
    /// Looks for the episodes that are bad when they are alone; if none is, all are named.
    ///
    /// # Shapes
    /// - `parameters`: `[P]`, before the step
    pub(crate) fn of(
        experiment: &Experiment,
        model: &Learner,
        parameters: &Tensor<1>,
        step: u64,
        cause: String,
        device: &Device,
    ) -> Self {
        let config = &experiment.config;
        let all = step_episodes(&config.training, step);
        let is_bad = |index: &u64| {
            let sampler = &experiment.train_sampler;
            let plan = sampler.plan(config.seed, Split::Train, *index);
            let batches = vec![collate(sampler.images(), &[plan])];
            let objective = Objective::at(config, step);
            let result = meta_gradient(model, parameters, batches, objective, device, 1);
            let figures = result.figures();
            figures.fault(config.training.largest_loss).is_some()
        };
        let mut episodes: Vec<u64> = all.clone().filter(is_bad).collect();
        if episodes.is_empty() {
            episodes = all.collect();
        }
        Self { cause, episodes }
    }

    /// The error that it ends training with.
    pub(crate) fn error(self, step: u64, seed: u64) -> TrainError {
        let Self { cause, episodes } = self;
        let named: Vec<String> = episodes
            .iter()
            .take(MOST_NAMED)
            .map(u64::to_string)
            .collect();
        let more = match episodes.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        TrainError::Diverged {
            step,
            cause,
            seed,
            episodes: format!("{}{more}", named.join(", ")),
        }
    }
}

/// Indices of the episodes that a step is made of.
pub(crate) fn step_episodes(training: &TrainingConfig, step: u64) -> std::ops::Range<u64> {
    let meta_batch = training.meta_batch as u64;
    step * meta_batch..(step + 1) * meta_batch
}
