//! One step: the gradient of a meta-batch, worked off in micro-batches.

use burn::tensor::{Device, Tensor};
use ht_baselines::Classified;
use ht_episodes::{CollatedBatch, stream};
use ht_generator::Pass;

use crate::loss::{ClassLoss, cross_entropy, image_encoder_loss, is_correct};
use crate::parallel::map_in_order;
use crate::{
    ExperimentConfig, Learner, LossConfig, TrainingObjective, batch_loss, from_vector,
    gradient_vector,
};

/// Gradient and figures of one meta-batch.
#[derive(Clone, Debug)]
pub struct StepResult {
    /// `[P]`: gradient of the mean loss over all episodes.
    pub gradient: Tensor<1>,
    /// `[1]`: norm of the gradient, on the device.
    pub norm: Tensor<1>,
    /// `[2]`: mean loss, and share of query images classified right; on the device.
    figures: Tensor<1>,
}

/// What a step is watched by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepFigures {
    /// Mean loss.
    pub loss: f64,
    /// Share of query images classified right.
    pub accuracy: f64,
    /// Norm of the gradient, before clipping.
    pub gradient_norm: f64,
}

impl StepResult {
    /// The figures, in the only copy to the host that a step makes.
    pub fn figures(&self) -> StepFigures {
        let figures = Tensor::cat(vec![self.figures.clone(), self.norm.clone()], 0).to_data();
        let mut figures = figures.iter::<f64>();
        let mut next = || figures.next().expect("three figures");
        StepFigures {
            loss: next(),
            accuracy: next(),
            gradient_norm: next(),
        }
    }
}

/// What a step minimises, and when.
#[derive(Clone, Copy, Debug)]
pub struct Objective {
    /// Of which images.
    pub of: TrainingObjective,
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
            of: config.training.objective,
            loss: config.loss,
            step,
            seed: config.seed,
        }
    }

    /// Images of a micro-batch that are classified.
    fn n_images(&self, model: &Learner, batch: &CollatedBatch) -> usize {
        match (model, self.of) {
            (Learner::Baseline(baseline), _) if baseline.learns_from_all_images() => {
                batch.n_labelled_support() + batch.n_query()
            }
            (_, TrainingObjective::Episodes) => batch.n_query(),
            (_, TrainingObjective::ClassHead) => batch.n_support(),
        }
    }
}

/// Computes the gradient of the mean loss over a meta-batch.
///
/// Micro-batches run on up to `n_threads` threads; their gradients are added in order,
/// weighted by the images that are classified in them. `model` gives the structure, `parameters` the values;
/// `device` must have autodiff.
///
/// # Shapes
/// - `parameters`: `[P]`
pub fn meta_gradient(
    model: &Learner,
    parameters: &Tensor<1>,
    micro_batches: Vec<CollatedBatch>,
    objective: Objective,
    device: &Device,
    n_threads: usize,
) -> StepResult {
    let n_images = micro_batches.iter();
    let n_images = n_images.map(|batch| objective.n_images(model, batch));
    // A step may have lost all its samples to random removal.
    let n_images = n_images.sum::<usize>().max(1);
    let jobs = micro_batches
        .into_iter()
        .enumerate()
        .map(|(number, batch)| (model.clone(), parameters.clone(), number, batch))
        .collect();
    let parts = map_in_order(jobs, n_threads, |(model, parameters, number, batch)| {
        let rng = stream(objective.seed, "dropout", objective.step, number as u64);
        let mut pass = Pass::training(rng);
        let model = from_vector(model, &parameters);
        micro_step(&model, batch, n_images, objective, &mut pass, device)
    });
    let (gradient, figures) = parts
        .into_iter()
        .reduce(|sum, part| (sum.0 + part.0, sum.1 + part.1))
        .expect("a meta-batch has at least one micro-batch");
    StepResult {
        norm: gradient.clone().square().sum().sqrt(),
        gradient,
        figures,
    }
}

/// One micro-batch's part of the sums over `n_images` images that are classified: gradient, and
/// loss with accuracy.
///
/// # Shapes
/// - returns: `[P]` and `[2]`
fn micro_step(
    model: &Learner,
    batch: CollatedBatch,
    n_images: usize,
    objective: Objective,
    pass: &mut Pass,
    device: &Device,
) -> (Tensor<1>, Tensor<1>) {
    let share = objective.n_images(model, &batch) as f64 / n_images as f64;
    let batch = batch.to_device(device);
    let (loss, logits, labels, hidden) = match (model, objective.of) {
        (Learner::Generator(model), TrainingObjective::Episodes) => {
            let loss = batch_loss(model, &batch, &objective.loss, objective.step, pass);
            let query = batch.query;
            (loss.total, loss.logits, query.labels, query.hidden)
        }
        (Learner::Generator(model), TrainingObjective::ClassHead) => {
            let ClassLoss { loss, logits } =
                image_encoder_loss(model, &batch, &objective.loss, pass);
            let classes = Tensor::from_data(batch.support_classes, device);
            (loss, logits, classes, batch.support.hidden)
        }
        (Learner::Baseline(model), _) => {
            let Classified {
                logits,
                labels,
                hidden,
                absent,
            } = model.classify(&batch);
            let smoothing = objective.loss.label_smoothing;
            let (hidden_images, absent) = (hidden.as_ref(), absent.as_ref());
            let loss = cross_entropy(&logits, &labels, hidden_images, absent, smoothing);
            (loss, logits, labels, hidden)
        }
    };
    let correct = is_correct(logits.inner(), labels.inner(), hidden.map(Tensor::inner));
    let accuracy = correct.float().sum() / n_images as f64;
    let value = loss.clone().inner() * share;
    let gradient = gradient_vector(model, (loss * share).backward());
    (gradient, Tensor::cat(vec![value, accuracy], 0))
}

#[cfg(test)]
mod tests;
