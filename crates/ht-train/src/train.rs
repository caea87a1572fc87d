//! The training loop, from the first step or from a checkpoint to the final test.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use ht_episodes::{CollatedBatch, EpisodeSampler, Prefetch, Split, collate};

use crate::checkpoint::{self, Best, TrainingState};
use crate::final_test::final_test;
use crate::metrics::StepWindow;
use crate::run_dir::{Keep, checkpoints_in};
use crate::{
    Accuracy, Experiment, Learner, MetaOptimizer, Metric, MetricsLog, Objective, RunDir,
    StepFigures, TrainError, TrainReport, TrainingConfig, TrainingObjective, evaluate, from_vector,
    meta_gradient, to_vector,
};

/// Meta-batches that are made ahead of the step that needs them.
const PREFETCH_DEPTH: usize = 4;

/// What a run computes on.
#[derive(Clone, Debug)]
pub struct Compute {
    /// A device without autodiff.
    pub device: Device,
    /// Threads for independent micro-batches; 1 where the device is parallel itself.
    pub n_threads: usize,
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
    /// It was asked to stop, and saved a checkpoint first.
    Interrupted {
        /// Updates so far.
        step: u64,
    },
}

/// Trains until all steps are made or `stop` is set, then tests the best checkpoint.
///
/// A run with checkpoints goes on where it stopped, with the same bits on a CPU as if it
/// had not.
///
/// # Errors
/// A file that cannot be written, a damaged checkpoint, a loss that is not finite.
pub fn train(
    experiment: &Experiment,
    run: &RunDir,
    compute: &Compute,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(TrainEvent),
) -> Result<TrainOutcome, TrainError> {
    let config = &experiment.config;
    let TrainingConfig { steps, .. } = config.training;
    let device = compute.device.clone().autodiff();
    let model = config.new_learner(&device)?;
    let plain_model = config.new_learner(&compute.device)?;

    let mut state = newest_state(experiment, run, &model, observe)?;
    let first_step = state.step;
    // What was written after that checkpoint will be made again.
    RunDir::forget_after(&run.best(), first_step)?;
    let mut metrics = MetricsLog::open(&run.metrics(), first_step)?;
    observe(TrainEvent::Started {
        step: first_step,
        steps,
    });

    let started = Instant::now();
    let seconds_before = state.train_seconds;
    let is_tested = config.training.objective == TrainingObjective::Episodes;
    let mut last_accuracy = None;
    let mut batches = training_batches(experiment, first_step);
    let mut window = StepWindow::new();
    while state.step < steps {
        if stop.load(Ordering::Relaxed) {
            checkpoint::save(&run.checkpoints(), &model, &state, config)?;
            return Ok(TrainOutcome::Interrupted { step: state.step });
        }
        let batch = batches.next().expect("one batch for every step");
        let objective = Objective::at(config, state.step);
        let parameters = &state.parameters;
        let n_threads = compute.n_threads;
        let result = meta_gradient(&model, parameters, batch, objective, &device, n_threads);
        let StepFigures { loss, accuracy } = result.figures();
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step: state.step });
        }
        let learning_rate = config.schedule.learning_rate(state.step, steps);
        let norm = state.update(
            result.gradient,
            learning_rate,
            config.training.gradient_clip,
        );
        state.step += 1;
        state.train_seconds = seconds_before + started.elapsed().as_secs_f64();
        window.add(loss, accuracy);
        last_accuracy = Some(100.0 * accuracy);
        observe(TrainEvent::Step {
            step: state.step,
            loss,
            accuracy: 100.0 * accuracy,
        });

        let step = state.step;
        let is_due = |every: u64| step % every == 0 || step == steps;
        if is_due(config.training.log_every) {
            let n_episodes = config.training.meta_batch as f64;
            let gradient_norm = norm.into_scalar();
            metrics.write(&window.finish(state.step, learning_rate, gradient_norm, n_episodes))?;
        }
        if is_due(config.training.validate_every) && is_tested {
            let model_now = from_vector(plain_model.clone(), &state.parameters);
            let episodes =
                experiment.fixed_episodes(Split::Validation, config.evaluation.validation_episodes);
            let accuracy = Accuracy::of(&evaluate(&model_now, &episodes, compute));
            state.train_seconds = seconds_before + started.elapsed().as_secs_f64();
            metrics.write(&Metric::Validation {
                step: state.step,
                accuracy: accuracy.mean,
                ci95: accuracy.ci95,
                episodes: accuracy.episodes,
                train_seconds: state.train_seconds,
            })?;
            let is_best = state.is_best(accuracy.mean);
            if is_best {
                checkpoint::save(&run.best(), &model, &state, config)?;
                RunDir::prune(&run.best(), Keep::Newest)?;
            }
            observe(TrainEvent::Validated {
                step: state.step,
                accuracy,
                is_best,
            });
            window.restart_clock();
        }
        if is_due(config.training.checkpoint_every) {
            checkpoint::save(&run.checkpoints(), &model, &state, config)?;
            RunDir::prune(&run.checkpoints(), Keep::ForResume)?;
        }
    }
    if !is_tested {
        let accuracy = last_accuracy;
        return Ok(TrainOutcome::ImageEncoder { accuracy });
    }
    let (step, seconds) = (state.step, state.train_seconds);
    final_test(
        experiment,
        run,
        step,
        seconds,
        compute,
        &mut metrics,
        observe,
    )
    .map(TrainOutcome::Finished)
}

/// The newest whole checkpoint, or the beginning.
fn newest_state(
    experiment: &Experiment,
    run: &RunDir,
    model: &Learner,
    observe: &mut dyn FnMut(TrainEvent),
) -> Result<TrainingState, TrainError> {
    let config = &experiment.config;
    let parameters = to_vector(model);
    let device = parameters.device();
    let mut first_error = None;
    for folder in checkpoints_in(&run.checkpoints()) {
        match checkpoint::load_state(&folder, model, config, &device) {
            Ok(state) => return Ok(state),
            Err(error) => {
                observe(TrainEvent::Skipped {
                    cause: error.to_string(),
                });
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) => Err(error),
        None => Ok(TrainingState {
            step: 0,
            train_seconds: 0.0,
            best: None,
            parameters,
            optimizer: MetaOptimizer::new(&config.optimizer),
        }),
    }
}

/// The training episodes from `first_step` on, one meta-batch in micro-batches per step.
pub fn training_batches(experiment: &Experiment, first_step: u64) -> Prefetch<Vec<CollatedBatch>> {
    let sampler: EpisodeSampler = experiment.train_sampler.clone();
    let seed = experiment.config.seed;
    let TrainingConfig {
        steps,
        meta_batch,
        micro_batch,
        ..
    } = experiment.config.training;
    Prefetch::new(first_step..steps, 1, PREFETCH_DEPTH, move |step| {
        let indices: Vec<u64> = (0..meta_batch as u64)
            .map(|episode| step * meta_batch as u64 + episode)
            .collect();
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

    /// Makes one update and returns the norm of the gradient before clipping.
    fn update(&mut self, gradient: Tensor<1>, rate: f64, largest: Option<f64>) -> Tensor<1> {
        let parameters = self.parameters.clone();
        let (parameters, norm) = self
            .optimizer
            .clipped_step(rate, parameters, gradient, largest);
        self.parameters = parameters;
        norm
    }
}
