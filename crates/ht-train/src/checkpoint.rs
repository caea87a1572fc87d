//! Checkpoints: one folder each, which exists whole or not at all.
//!
//! ```text
//! step-00000400/
//!   parameters.safetensors   every parameter under its name
//!   optimizer.safetensors    the optimizer's vectors
//!   manifest.json            step, config, digests of the two files; written last
//! ```
//!
//! The folder is made under another name and renamed when everything in it has reached the
//! disk (`durable.rs`). A file that does not match its digest is never used.

mod format_1;
mod tensors;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::bad_step::SkippedSteps;
use crate::metrics::WindowSums;
use crate::optimizer::OptimizerState;
use crate::{
    ExperimentConfig, Learner, MetaOptimizer, ParameterSlot, RunDir, TrainError, from_vector,
    slots, to_vector,
};
use ht_files::{bounded, durable, sha256};

pub(crate) use format_1::config_of_today;
pub(crate) use tensors::by_name;

const FORMAT: u32 = 2;
const PARAMETERS: &str = "parameters.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const MANIFEST: &str = "manifest.json";
/// A file of a checkpoint whose model is not known yet.
const MOST_BYTES: u64 = 8 << 30;

/// The best validation so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Updates of that checkpoint.
    pub step: u64,
    /// Its validation accuracy, in percent.
    pub accuracy: f64,
}

/// What a checkpoint says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointInfo {
    /// Version of the layout.
    pub format: u32,
    /// Steps so far; also the position in the stream of training episodes.
    pub step: u64,
    /// Seconds of training so far.
    pub train_seconds: f64,
    /// The best validation so far.
    pub best: Option<Best>,
    /// The steps since the last line of the metrics.
    #[serde(default)]
    pub window: WindowSums,
    /// Steps that were left out.
    #[serde(default)]
    pub skipped: SkippedSteps,
    /// Updates that the optimizer counts.
    pub optimizer_time: usize,
    /// The experiment, as TOML.
    pub config: String,
    /// SHA-256 of `parameters.safetensors`.
    pub parameters_sha256: String,
    /// SHA-256 of `optimizer.safetensors`.
    pub optimizer_sha256: String,
}

/// Everything that training needs to go on as if it had never stopped.
pub(crate) struct TrainingState {
    pub(crate) step: u64,
    pub(crate) train_seconds: f64,
    pub(crate) best: Option<Best>,
    pub(crate) window: WindowSums,
    pub(crate) skipped: SkippedSteps,
    pub(crate) parameters: Tensor<1>,
    pub(crate) optimizer: MetaOptimizer,
}

/// Name of a checkpoint's folder.
pub(crate) fn folder_name(step: u64) -> String {
    format!("step-{step:08}")
}

impl TrainingState {
    /// The beginning.
    pub(crate) fn new(parameters: Tensor<1>, config: &ExperimentConfig) -> Self {
        Self {
            step: 0,
            train_seconds: 0.0,
            best: None,
            window: WindowSums::default(),
            skipped: SkippedSteps::default(),
            parameters,
            optimizer: MetaOptimizer::new(&config.optimizer),
        }
    }
}

/// Writes a checkpoint into `parent`. One of the same step gives way to it, unless it holds the
/// same: then nothing is written.
pub(crate) fn save(
    parent: &Path,
    model: &Learner,
    state: &TrainingState,
    config: &ExperimentConfig,
) -> Result<PathBuf, TrainError> {
    let values = vector_values(&state.parameters);
    let target = parent.join(folder_name(state.step));
    if !values.iter().all(|value| value.is_finite()) {
        return Err(TrainError::NoNumbers { step: state.step });
    }
    let OptimizerState { time, vectors } = state.optimizer.state();
    let vectors = vectors
        .into_iter()
        .map(|(name, vector)| {
            let values = vector_values(&vector);
            (name.to_owned(), vec![values.len()], values)
        })
        .collect();
    let parameters = tensors::encode(by_name(model, &values), &target)?;
    let optimizer = tensors::encode(vectors, &target)?;
    let info = CheckpointInfo {
        format: FORMAT,
        step: state.step,
        train_seconds: state.train_seconds,
        best: state.best,
        window: state.window,
        skipped: state.skipped,
        optimizer_time: time,
        config: config.to_toml(),
        parameters_sha256: sha256(&parameters),
        optimizer_sha256: sha256(&optimizer),
    };
    if verify(&target).is_ok_and(|found| found.holds_the_same_as(&info)) {
        return Ok(target);
    }
    let manifest = serde_json::to_string_pretty(&info)
        .map_err(|cause| TrainError::file("write", &target, cause))?;
    let partial = durable::partial(&target);
    let write = || {
        durable::remove_at_once(&partial)?;
        durable::create_folder(&partial)?;
        durable::write_file(&partial.join(PARAMETERS), &parameters)?;
        durable::write_file(&partial.join(OPTIMIZER), &optimizer)?;
        durable::write_file(&partial.join(MANIFEST), manifest.as_bytes())?;
        durable::commit_folder(&partial, &target)
    };
    // A full disk gets back what did not fit.
    write().inspect_err(|_| {
        let _ = durable::remove_at_once(&partial);
    })?;
    Ok(target)
}

/// Writes parameters that come from elsewhere as a run's checkpoint, with an optimizer that
/// has seen no gradient.
///
/// # Shapes
/// - `parameters`: `[P]`
///
/// # Errors
/// A folder that cannot be written, parameters that are no numbers.
pub fn save_parameters(
    run: &RunDir,
    model: &Learner,
    parameters: Tensor<1>,
    step: u64,
    config: &ExperimentConfig,
) -> Result<PathBuf, TrainError> {
    let state = TrainingState {
        step,
        ..TrainingState::new(parameters, config)
    };
    save(&run.checkpoints(), model, &state, config)
}

impl CheckpointInfo {
    /// Refuses a step that its run never makes.
    pub(crate) fn check_step(
        &self,
        folder: &Path,
        config: &ExperimentConfig,
    ) -> Result<(), TrainError> {
        let (step, steps) = (self.step, config.training.steps);
        if step <= steps {
            return Ok(());
        }
        let cause = format!("{MANIFEST}: step is {step}, expected at most training.steps, {steps}");
        Err(TrainError::checkpoint(folder, cause))
    }

    /// The same but for the clock.
    fn holds_the_same_as(&self, other: &Self) -> bool {
        let without_clock = |info: &Self| Self {
            train_seconds: 0.0,
            window: info.window.without_clock(),
            ..info.clone()
        };
        without_clock(self) == without_clock(other)
    }
}

/// Reads a checkpoint's manifest.
pub(crate) fn read_info(folder: &Path) -> Result<CheckpointInfo, TrainError> {
    /// What every format has.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let text = bounded::read_text(&folder.join(MANIFEST), bounded::SMALL_FILE)?;
    let damaged = |cause: serde_json::Error| {
        TrainError::checkpoint(folder, format_args!("{MANIFEST}: {cause}"))
    };
    // First, because a newer version may have changed all else.
    let Format { format } = serde_json::from_str(&text).map_err(damaged)?;
    if format > FORMAT {
        return Err(TrainError::NewerCheckpoint {
            path: folder.to_owned(),
            format,
            known: FORMAT,
        });
    }
    if format == 0 {
        let cause = format!("format 0, expected 1 to {FORMAT}");
        return Err(TrainError::checkpoint(folder, cause));
    }
    let mut info: CheckpointInfo = serde_json::from_str(&text).map_err(damaged)?;
    let seconds = info.train_seconds;
    if !(seconds >= 0.0 && seconds.is_finite()) {
        let cause = format!("{MANIFEST}: train_seconds is {seconds}, expected a number from 0 on");
        return Err(TrainError::checkpoint(folder, cause));
    }
    if format == 1 {
        info.config = config_of_today(&info.config).into_owned();
    }
    Ok(info)
}

/// Reads a checkpoint's manifest and compares its files with it, as far as they are there: a
/// model has no optimizer.
pub(crate) fn verify(folder: &Path) -> Result<CheckpointInfo, TrainError> {
    let info = read_info(folder)?;
    read_checked(folder, PARAMETERS, &info.parameters_sha256, MOST_BYTES)?;
    if folder.join(OPTIMIZER).exists() {
        read_checked(folder, OPTIMIZER, &info.optimizer_sha256, MOST_BYTES)?;
    }
    Ok(info)
}

/// Reads everything that training needs to go on.
pub(crate) fn load_state(
    folder: &Path,
    model: &Learner,
    config: &ExperimentConfig,
    device: &Device,
) -> Result<TrainingState, TrainError> {
    let info = read_info(folder)?;
    info.check_step(folder, config)?;
    let parameters = read_parameters(folder, &info, model, device)?;
    let n_values = parameters.dims()[0];
    let most_bytes = tensors::most_bytes(2 * n_values);
    let bytes = read_checked(folder, OPTIMIZER, &info.optimizer_sha256, most_bytes)?;
    let vectors =
        SafeTensors::deserialize(&bytes).map_err(|cause| TrainError::checkpoint(folder, cause))?;
    let mut optimizer = MetaOptimizer::new(&config.optimizer);
    optimizer
        .restore(info.optimizer_time, |name| {
            let values = tensors::values(&vectors, name, &[n_values])?;
            Ok(Tensor::from_data(
                TensorData::new(values, [n_values]),
                device,
            ))
        })
        .map_err(|cause| TrainError::checkpoint(folder, cause))?;
    Ok(TrainingState {
        step: info.step,
        train_seconds: info.train_seconds,
        best: info.best,
        window: info.window,
        skipped: info.skipped,
        parameters,
        optimizer,
    })
}

/// Builds the method that a checkpoint holds.
///
/// # Errors
/// A missing or damaged checkpoint.
pub fn load_learner(
    folder: &Path,
    device: &Device,
) -> Result<(Learner, ExperimentConfig, CheckpointInfo), TrainError> {
    let info = read_info(folder)?;
    let place = folder.join(MANIFEST).display().to_string();
    let config = ExperimentConfig::parse(&info.config, &place, &[])?;
    check_holds(folder, config.n_parameters()?)?;
    let model = config.new_learner(device)?;
    let parameters = read_parameters(folder, &info, &model, device)?;
    Ok((from_vector(model, &parameters), config, info))
}

/// Whether a checkpoint can hold this many parameters: its config may be a stranger's, and a model
/// takes its memory before the file is read into it.
fn check_holds(folder: &Path, n_parameters: u64) -> Result<(), TrainError> {
    let path = folder.join(PARAMETERS);
    let metadata =
        std::fs::metadata(&path).map_err(|cause| TrainError::file("read", &path, cause))?;
    let n_bytes = metadata.len();
    if n_bytes / 4 >= n_parameters {
        return Ok(());
    }
    let cause =
        format!("its config has {n_parameters} parameters, but {PARAMETERS} only {n_bytes} bytes");
    Err(TrainError::checkpoint(folder, cause))
}

fn read_parameters(
    folder: &Path,
    info: &CheckpointInfo,
    model: &Learner,
    device: &Device,
) -> Result<Tensor<1>, TrainError> {
    let slots = slots(model);
    let most_bytes = tensors::most_bytes(slots.iter().map(ParameterSlot::len).sum());
    let bytes = read_checked(folder, PARAMETERS, &info.parameters_sha256, most_bytes)?;
    let tensors =
        SafeTensors::deserialize(&bytes).map_err(|cause| TrainError::checkpoint(folder, cause))?;
    let mut vector = Vec::new();
    for slot in &slots {
        let name = match info.format {
            1 => &format_1::parameter_name(&slot.name),
            _ => &slot.name,
        };
        let values = tensors::values(&tensors, name, &slot.shape)
            .map_err(|cause| TrainError::checkpoint(folder, cause))?;
        vector.extend(values);
    }
    let n_values = vector.len();
    let device = device.clone().inner();
    Ok(Tensor::from_data(
        TensorData::new(vector, [n_values]),
        &device,
    ))
}

/// SHA-256 of a model's parameters: the same for the same bits, wherever it lies.
pub fn parameters_digest(model: &Learner) -> String {
    let bytes: Vec<u8> = vector_values(&to_vector(model))
        .into_iter()
        .flat_map(f32::to_le_bytes)
        .collect();
    sha256(&bytes)
}

pub(crate) fn vector_values(vector: &Tensor<1>) -> Vec<f32> {
    vector.to_data().iter::<f32>().collect()
}

fn read_checked(
    folder: &Path,
    name: &str,
    expected: &str,
    most_bytes: u64,
) -> Result<Vec<u8>, TrainError> {
    let bytes = bounded::read(&folder.join(name), most_bytes)?;
    if sha256(&bytes) == expected {
        Ok(bytes)
    } else {
        let cause = format!("{name} does not match the SHA-256 in {MANIFEST}");
        Err(TrainError::checkpoint(folder, cause))
    }
}
