//! Where a run goes on: the newest checkpoint that is whole, and the best one that it speaks of.

use std::path::PathBuf;

use burn::tensor::Device;

use crate::checkpoint::{self, TrainingState, folder_name};
use crate::run_dir::checkpoints_in;
use crate::{ExperimentConfig, Learner, MetricsLog, RunDir, TrainError, TrainEvent, to_vector};

/// The newest whole checkpoint, or the beginning.
///
/// # Errors
/// Checkpoints none of which is whole, one of a newer version of this program, or none at all in a
/// run that had some.
pub(crate) fn newest_state(
    run: &RunDir,
    model: &Learner,
    config: &ExperimentConfig,
    observe: &mut dyn FnMut(TrainEvent),
) -> Result<TrainingState, TrainError> {
    let parameters = to_vector(model);
    let device = parameters.device();
    let mut first_error = None;
    for folder in checkpoints_in(&run.checkpoints())? {
        match checkpoint::load_state(&folder, model, config, &device) {
            Ok(state) => return Ok(with_its_best(run, state, observe)),
            // It is no damage, and to go on from an older one would throw it away.
            Err(error @ TrainError::NewerCheckpoint { .. }) => return Err(error),
            Err(error) => {
                observe(TrainEvent::Skipped {
                    cause: error.to_string(),
                });
                first_error.get_or_insert(error);
            }
        }
    }
    if let Some(error) = first_error {
        return Err(TrainError::NoneLeft {
            path: run.checkpoints(),
            cause: error.to_string(),
        });
    }
    check_beginning(run, config)?;
    Ok(TrainingState::new(parameters, config))
}

/// Refuses to begin again where there were checkpoints: it would throw away what was trained.
fn check_beginning(run: &RunDir, config: &ExperimentConfig) -> Result<(), TrainError> {
    let training = &config.training;
    // A run can be killed between what it writes up to this step and its first checkpoint.
    let first = training.checkpoint_every.min(training.steps);
    let best = checkpoints_in(&run.best())?;
    let is_later = |best: &&PathBuf| **best > run.best().join(folder_name(first));
    let found = if run.result().exists() {
        run.result().display().to_string()
    } else if let Some(best) = best.iter().find(is_later) {
        best.display().to_string()
    } else if let Some(start) = RunDir::info(run.path())?.start {
        format!("a start from {}", start.display())
    } else {
        let lines = MetricsLog::read(&run.metrics())?;
        let Some(line) = lines.iter().find(|line| line.step() > first) else {
            return Ok(());
        };
        let path = run.metrics();
        format!("step {} in {}", line.step(), path.display())
    };
    Err(TrainError::CheckpointsLost {
        path: run.checkpoints(),
        found,
    })
}

/// Forgets a best checkpoint that is lost: the next validation is the best one then.
fn with_its_best(
    run: &RunDir,
    mut state: TrainingState,
    observe: &mut dyn FnMut(TrainEvent),
) -> TrainingState {
    if let Some(best) = state.best
        && let Err(error) = checkpoint::verify(&run.best().join(folder_name(best.step)))
    {
        observe(TrainEvent::Skipped {
            cause: format!("{error}; the best from here on takes its place"),
        });
        state.best = None;
    }
    state
}

/// The model to test: the best one, or the one before it where that is damaged.
pub(crate) fn best_model(
    run: &RunDir,
    device: &Device,
    observe: &mut dyn FnMut(TrainEvent),
) -> Result<(Learner, u64), TrainError> {
    let best = RunDir::best_checkpoint(run.path(), &mut |error| {
        observe(TrainEvent::Skipped {
            cause: error.to_string(),
        });
    })?;
    let (model, config, info) = checkpoint::load_learner(&best, device)?;
    info.check_step(&best, &config)?;
    Ok((model, info.step))
}
