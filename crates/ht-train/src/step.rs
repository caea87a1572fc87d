//! One step: the gradient of a meta-batch, worked off in micro-batches.

use burn::tensor::{Device, Tensor};
use ht_episodes::{CollatedBatch, stream};
use ht_generator::{Pass, WeightGenerator};

use crate::loss::is_correct;
use crate::parallel::map_in_order;
use crate::{ExperimentConfig, LossConfig, batch_loss, from_vector, gradient_vector};

/// Gradient and figures of one meta-batch.
#[derive(Clone, Debug)]
pub struct StepResult {
    /// `[P]`: gradient of the mean loss over all episodes.
    pub gradient: Tensor<1>,
    /// `[2]`: mean loss, and share of query images classified right; still on the device.
    figures: Tensor<1>,
}

/// What a step is watched by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepFigures {
    /// Mean loss.
    pub loss: f64,
    /// Share of query images classified right.
    pub accuracy: f64,
}

impl StepResult {
    /// The figures, in the only copy to the host that a step makes.
    pub fn figures(&self) -> StepFigures {
        let figures = self.figures.to_data();
        let mut figures = figures.iter::<f64>();
        let mut next = || figures.next().expect("two figures");
        StepFigures {
            loss: next(),
            accuracy: next(),
        }
    }
}

/// What a step minimises, and when.
#[derive(Clone, Copy, Debug)]
pub struct Objective {
    /// What is added to the cross-entropy.
    pub loss: LossConfig,
    /// Updates so far.
    pub step: u64,
    /// Seed of the run, from which dropout is drawn.
    pub seed: u64,
}

impl Objective {
    /// The objective of an experiment after `step` updates.
    pub fn at(config: &ExperimentConfig, step: u64) -> Self {
        Self {
            loss: config.loss,
            step,
            seed: config.seed,
        }
    }
}

/// Computes the gradient of the mean query loss over a meta-batch.
///
/// Micro-batches run on up to `n_threads` threads; their gradients are added in order,
/// weighted by their query images. `model` gives the structure, `parameters` the values;
/// `device` must have autodiff.
///
/// # Shapes
/// - `parameters`: `[P]`
pub fn meta_gradient(
    model: &WeightGenerator,
    parameters: &Tensor<1>,
    micro_batches: Vec<CollatedBatch>,
    objective: Objective,
    device: &Device,
    n_threads: usize,
) -> StepResult {
    let n_query: usize = micro_batches.iter().map(CollatedBatch::n_query).sum();
    let jobs = micro_batches
        .into_iter()
        .enumerate()
        .map(|(number, batch)| (model.clone(), parameters.clone(), number, batch))
        .collect();
    let parts = map_in_order(jobs, n_threads, |(model, parameters, number, batch)| {
        let rng = stream(objective.seed, "dropout", objective.step, number as u64);
        let mut pass = Pass::training(rng);
        let model = from_vector(model, &parameters);
        micro_step(&model, batch, n_query, objective, &mut pass, device)
    });
    parts
        .into_iter()
        .reduce(|sum, part| StepResult {
            gradient: sum.gradient + part.gradient,
            figures: sum.figures + part.figures,
        })
        .expect("a meta-batch has at least one micro-batch")
}

/// One micro-batch's part of the sums over `n_query` query images.
fn micro_step(
    model: &WeightGenerator,
    batch: CollatedBatch,
    n_query: usize,
    objective: Objective,
    pass: &mut Pass,
    device: &Device,
) -> StepResult {
    let share = batch.n_query() as f64 / n_query as f64;
    let batch = batch.to_device(device);
    let loss = batch_loss(model, &batch, &objective.loss, objective.step, pass);
    let query = batch.query;
    let hidden = query.hidden.map(Tensor::inner);
    let correct = is_correct(loss.logits.inner(), query.labels.inner(), hidden);
    let accuracy = correct.float().sum() / n_query as f64;
    let value = loss.total.clone().inner() * share;
    let gradient = gradient_vector(model, (loss.total * share).backward());
    StepResult {
        gradient,
        figures: Tensor::cat(vec![value, accuracy], 0),
    }
}

#[cfg(test)]
mod tests;
