//! One step: the gradient of a meta-batch, worked off in micro-batches.

use burn::tensor::{Device, Tensor};
use ht_episodes::{CollatedBatch, EpisodeBatch};
use ht_generator::WeightGenerator;

use crate::parallel::map_in_order;
use crate::{from_vector, gradient_vector, n_correct, query_loss};

/// Gradient and figures of one meta-batch.
#[derive(Clone, Debug)]
pub struct StepResult {
    /// `[P]`: gradient of the mean loss over all episodes.
    pub gradient: Tensor<1>,
    /// Mean loss.
    pub loss: f64,
    /// Share of query images classified right.
    pub accuracy: f64,
}

/// Computes the gradient of the mean query loss over a meta-batch.
///
/// Micro-batches run on up to `n_threads` threads; their gradients are added in order,
/// weighted by their episodes. `model` gives the structure, `parameters` the values;
/// `device` must have autodiff.
///
/// # Shapes
/// - `parameters`: `[P]`
pub fn meta_gradient(
    model: &WeightGenerator,
    parameters: &Tensor<1>,
    micro_batches: Vec<CollatedBatch>,
    device: &Device,
    n_threads: usize,
) -> StepResult {
    let n_episodes: usize = micro_batches.iter().map(CollatedBatch::n_episodes).sum();
    let jobs = micro_batches
        .into_iter()
        .map(|batch| (model.clone(), parameters.clone(), batch))
        .collect();
    let parts = map_in_order(jobs, n_threads, |(model, parameters, batch)| {
        let share = batch.n_episodes() as f64 / n_episodes as f64;
        micro_step(model, &parameters, batch.to_device(device), share)
    });
    parts
        .into_iter()
        .reduce(|sum, part| StepResult {
            gradient: sum.gradient + part.gradient,
            loss: sum.loss + part.loss,
            accuracy: sum.accuracy + part.accuracy,
        })
        .expect("a meta-batch has at least one micro-batch")
}

/// One micro-batch's part of the sums.
fn micro_step(
    model: WeightGenerator,
    parameters: &Tensor<1>,
    batch: EpisodeBatch,
    share: f64,
) -> StepResult {
    let model = from_vector(model, parameters);
    let EpisodeBatch { support, query } = batch;
    let logits = model.generate(&support).forward(query.images);
    let [e, q, _] = logits.dims();
    let correct: usize = n_correct(logits.clone().inner(), query.labels.clone().inner())
        .iter()
        .sum();
    let loss = query_loss(logits, query.labels);
    let value: f64 = loss.clone().inner().into_scalar();
    let gradient = gradient_vector(&model, (loss * share).backward());
    StepResult {
        gradient,
        loss: value * share,
        accuracy: correct as f64 / (e * q) as f64 * share,
    }
}

#[cfg(test)]
mod tests;
