//! The training loop, from the first step or from a checkpoint to the final test.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::Device;
use ht_episodes::{CollatedBatch, EpisodeSampler, Prefetch, Split, collate};

use crate::bad_step::{BadStep, step_episodes};
use crate::checkpoint::{self, Best, TrainingState};
use crate::final_test::final_test;
use crate::metrics::StepWindow;
use crate::resume::newest_state;
use crate::{
    Accuracy, BadSteps, Experiment, Learner, Metric, MetricsLog, Objective, RunDir, StepResult,
    TrainError, TrainReport, TrainingConfig, TrainingObjective, evaluate, from_vector,
    meta_gradient,
};

/// Meta-batches that are made ahead of the step that needs them, but one for each loader at least.
const PREFETCH_DEPTH: usize = 4;

/// What a run computes on.
#[derive(Clone, Debug)]
pub struct Compute {
    /// A device without autodiff.
    pub device: Device,
    /// Threads for independent micro-batches; 1 where the device is parallel itself.
    pub n_threads: usize,
    /// Threads that make episodes ahead of the steps that need them.
    pub n_loaders: usize,
}

/// What happens during training, for whoever watches.
#[derive(Clone, Debug)]
pub enum TrainEvent {
    /// The loop begins, or goes on after `step` updates.
    Started {
        /// Updates so far.
        step: u64,
        /// Updates of the whole run.
        steps: u64,
    },
    /// A checkpoint could not be used; an older one will be.
    Skipped {
        /// Why.
        cause: String,
    },
    /// An update was made.
    Step {
        /// Updates so far.
        step: u64,
        /// Training loss of this step.
        loss: f64,
        /// Training accuracy of this step, in percent.
        accuracy: f64,
    },
    /// A step was left out.
    SkippedStep {
        /// Steps so far, this one counted.
        step: u64,
        /// What was wrong with it.
        cause: String,
        /// Steps of the whole run that were left out.
        skipped_steps: u64,
    },
    /// The validation episodes were looked at.
    Validated {
        /// Updates so far.
        step: u64,
        /// Their accuracy.
        accuracy: Accuracy,
        /// Whether it is the best so far.
        is_best: bool,
    },
    /// The final test begins.
    Testing {
        /// Updates of the checkpoint that is tested.
        best_step: u64,
        /// Test episodes.
        episodes: u64,
    },
}

/// How training ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainOutcome {
    /// All steps were made.
    Finished(TrainReport),
    /// All steps were made, of an image encoder alone: there is no CNN to test.
    ImageEncoder {
        /// Accuracy of the class head at the last step, in percent; none where no step was left
        /// to make.
        accuracy: Option<f64>,
    },
    /// It was asked to stop before the final test, and saved a checkpoint first.
    Interrupted {
        /// Updates so far.
        step: u64,
    },
}

/// Trains until all steps are made, then tests the best checkpoint. When `stop` is set it ends after
/// the step, or before the test; a test that has begun is finished.
///
/// A run with checkpoints goes on where it stopped, with the same bits on a CPU as if it
/// had not.
///
/// # Errors
/// A file that cannot be written, damaged checkpoints of which none is whole, a step whose numbers
/// have gone wrong.
pub fn train(
    experiment: &Experiment,
    run: &RunDir,
    compute: &Compute,
    bad_steps: BadSteps,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(TrainEvent),
) -> Result<TrainOutcome, TrainError> {
    RunDir::check_data(run.path(), experiment)?;
    let config = &experiment.config;
    let TrainingConfig { steps, .. } = config.training;
    let device = compute.device.clone().autodiff();
    let model = config.new_learner(&device)?;

    let state = newest_state(run, &model, config, observe)?;
    let first_step = state.step;
    // What was written after that checkpoint will be made again.
    let metrics = MetricsLog::open(&run.metrics(), first_step)?;
    RunDir::forget_after(&run.best(), first_step)?;
    run.prune()?;
    observe(TrainEvent::Started {
        step: first_step,
        steps,
    });

    let is_tested = config.training.objective == TrainingObjective::Episodes;
    let mut batches = training_batches(experiment, first_step, compute.n_loaders);
    let mut training = Training {
        experiment,
        run,
        compute,
        device,
        plain_model: config.new_learner(&compute.device)?,
        model,
        clock: Instant::now(),
        seconds_before: state.train_seconds,
        window: StepWindow::new(state.window),
        metrics,
        state,
        last_accuracy: None,
    };
    while training.state.step < steps {
        if stop.load(Ordering::Relaxed) {
            training.save()?;
            let step = training.state.step;
            return Ok(TrainOutcome::Interrupted { step });
        }
        let batch = batches.next().expect("one batch for every step");
        training.step(batch, bad_steps, observe)?;
        let step = training.state.step;
        let is_due = |every: u64| step.is_multiple_of(every) || step == steps;
        if is_due(config.training.validate_every) && is_tested {
            training.validate(observe)?;
        }
        if is_due(config.training.checkpoint_every) {
            training.save()?;
            run.prune()?;
        }
    }
    if !is_tested {
        let accuracy = training.last_accuracy;
        return Ok(TrainOutcome::ImageEncoder { accuracy });
    }
    let (step, seconds) = (training.state.step, training.state.train_seconds);
    // The last step is saved: a resume goes straight to the test.
    if stop.load(Ordering::Relaxed) {
        return Ok(TrainOutcome::Interrupted { step });
    }
    let metrics = &mut training.metrics;
    final_test(experiment, run, step, seconds, compute, metrics, observe)
        .map(TrainOutcome::Finished)
}

/// What changes while a run is trained, and what it is trained with.
struct Training<'a> {
    experiment: &'a Experiment,
    run: &'a RunDir,
    compute: &'a Compute,
    /// With autodiff.
    device: Device,
    model: Learner,
    plain_model: Learner,
    clock: Instant,
    seconds_before: f64,
    window: StepWindow,
    metrics: MetricsLog,
    state: TrainingState,
    last_accuracy: Option<f64>,
}

impl Training<'_> {
    /// Makes a step and, where one is due, its line in the metrics.
    fn step(
        &mut self,
        batch: Vec<CollatedBatch>,
        bad_steps: BadSteps,
        observe: &mut dyn FnMut(TrainEvent),
    ) -> Result<(), TrainError> {
        let config = &self.experiment.config;
        let state = &mut self.state;
        let parameters = &state.parameters.clone();
        let objective = Objective::at(config, state.step);
        let (device, n_threads) = (&self.device, self.compute.n_threads);
        let result = meta_gradient(&self.model, parameters, batch, objective, device, n_threads);
        let figures = result.figures();
        let steps = config.training.steps;
        let learning_rate = config.schedule.learning_rate(state.step, steps);
        let fault = figures.fault(config.training.largest_loss);
        if let Some(cause) = fault {
            let (experiment, model, step) = (self.experiment, &self.model, state.step);
            let bad = BadStep::of(experiment, model, parameters, step, cause, device);
            if !state.skipped.skip(bad_steps) {
                return Err(bad.error(step, config.seed));
            }
            state.step += 1;
            self.window.count_time();
            let BadStep { cause, episodes } = bad;
            let (step, skipped_steps) = (state.step, state.skipped.total);
            self.metrics.write(&Metric::SkippedStep {
                step,
                cause: cause.clone(),
                episodes,
                skipped_steps,
            })?;
            observe(TrainEvent::SkippedStep {
                step,
                cause,
                skipped_steps,
            });
        } else {
            state.skipped.in_a_row = 0;
            state.update(result, learning_rate, config.training.gradient_clip);
            state.step += 1;
            self.window.add(figures);
            self.last_accuracy = Some(100.0 * figures.accuracy);
            observe(TrainEvent::Step {
                step: state.step,
                loss: figures.loss,
                accuracy: 100.0 * figures.accuracy,
            });
        }
        let step = state.step;
        if step.is_multiple_of(config.training.log_every) || step == steps {
            let n_episodes = config.training.meta_batch as f64;
            if let Some(line) = self.window.finish(step, learning_rate, n_episodes) {
                self.metrics.write(&line)?;
            }
        }
        Ok(())
    }

    /// Looks at the validation episodes and keeps the parameters if they are the best so far.
    fn validate(&mut self, observe: &mut dyn FnMut(TrainEvent)) -> Result<(), TrainError> {
        let experiment = self.experiment;
        let model_now = from_vector(self.plain_model.clone(), &self.state.parameters);
        let n_episodes = experiment.config.evaluation.validation_episodes;
        let episodes = experiment.fixed_episodes(Split::Validation, n_episodes);
        let accuracy = Accuracy::of(&evaluate(&model_now, &episodes, self.compute));
        self.state.train_seconds = self.seconds();
        self.metrics.write(&Metric::Validation {
            step: self.state.step,
            accuracy: accuracy.mean,
            ci95: accuracy.ci95,
            episodes: accuracy.episodes,
            train_seconds: self.state.train_seconds,
        })?;
        let is_best = self.state.is_best(accuracy.mean);
        if is_best {
            self.save_in(&self.run.best())?;
        }
        observe(TrainEvent::Validated {
            step: self.state.step,
            accuracy,
            is_best,
        });
        self.window.restart_clock();
        Ok(())
    }

    /// Writes a checkpoint to go on from.
    fn save(&mut self) -> Result<(), TrainError> {
        self.metrics.sync()?;
        self.state.train_seconds = self.seconds();
        self.state.window = self.window.sums();
        self.save_in(&self.run.checkpoints())
    }

    fn save_in(&self, folder: &Path) -> Result<(), TrainError> {
        let config = &self.experiment.config;
        checkpoint::save(folder, &self.model, &self.state, config).map(|_| ())
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.clock.elapsed().as_secs_f64()
    }
}

/// The training episodes from `first_step` on, one meta-batch in micro-batches per step: the same
/// with any number of threads that make them.
pub fn training_batches(
    experiment: &Experiment,
    first_step: u64,
    n_loaders: usize,
) -> Prefetch<Vec<CollatedBatch>> {
    let sampler: EpisodeSampler = experiment.train_sampler.clone();
    let seed = experiment.config.seed;
    let training = experiment.config.training.clone();
    let TrainingConfig {
        steps, micro_batch, ..
    } = training;
    let n_loaders = n_loaders.max(1);
    let depth = PREFETCH_DEPTH.div_ceil(n_loaders);
    Prefetch::new(first_step..steps, n_loaders, depth, move |step| {
        let indices: Vec<u64> = step_episodes(&training, step).collect();
        indices
            .chunks(micro_batch)
            .map(|indices| {
                let plans: Vec<_> = indices
                    .iter()
                    .map(|&index| sampler.plan(seed, Split::Train, index))
                    .collect();
                collate(sampler.images(), &plans)
            })
            .collect()
    })
}

impl TrainingState {
    /// Keeps in mind a validation that is better than all before.
    fn is_best(&mut self, accuracy: f64) -> bool {
        let is_best = self.best.is_none_or(|best| accuracy > best.accuracy);
        if is_best {
            let step = self.step;
            self.best = Some(Best { step, accuracy });
        }
        is_best
    }

    /// Makes one update.
    fn update(&mut self, result: StepResult, rate: f64, largest: Option<f64>) {
        let parameters = self.parameters.clone();
        let (gradient, norm) = (result.gradient, result.norm);
        self.parameters = self
            .optimizer
            .clipped_step(rate, parameters, gradient, norm, largest);
    }
}

#[cfg(test)]
mod tests;
