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
//! disk. A file that does not match its digest is never used.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use ht_episodes::sha256;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::optimizer::OptimizerState;
use crate::{
    ExperimentConfig, Learner, MetaOptimizer, RunDir, TrainError, from_vector, slots, to_vector,
};

const FORMAT: u32 = 2;
const PARAMETERS: &str = "parameters.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const MANIFEST: &str = "manifest.json";

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
    /// Updates so far; also the position in the stream of training episodes.
    pub step: u64,
    /// Seconds of training so far.
    pub train_seconds: f64,
    /// The best validation so far.
    pub best: Option<Best>,
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
    pub(crate) parameters: Tensor<1>,
    pub(crate) optimizer: MetaOptimizer,
}

/// Name of a checkpoint's folder.
pub(crate) fn folder_name(step: u64) -> String {
    format!("step-{step:08}")
}

/// Writes a checkpoint into `parent`, replacing one of the same step.
pub(crate) fn save(
    parent: &Path,
    model: &Learner,
    state: &TrainingState,
    config: &ExperimentConfig,
) -> Result<PathBuf, TrainError> {
    let parameters = vector_values(&state.parameters);
    if !parameters.iter().all(|value| value.is_finite()) {
        return Err(TrainError::Diverged { step: state.step });
    }
    let name = folder_name(state.step);
    let partial = parent.join(format!(".{name}.partial"));
    let target = parent.join(&name);
    remove_folder(&partial)?;
    fs::create_dir_all(&partial).map_err(|cause| TrainError::file("write", &partial, cause))?;

    let OptimizerState { time, vectors } = state.optimizer.state();
    let vectors = vectors
        .into_iter()
        .map(|(name, vector)| {
            let values = vector_values(&vector);
            (name.to_owned(), vec![values.len()], values)
        })
        .collect();
    let info = CheckpointInfo {
        format: FORMAT,
        step: state.step,
        train_seconds: state.train_seconds,
        best: state.best,
        optimizer_time: time,
        config: config.to_toml(),
        parameters_sha256: write_tensors(&partial.join(PARAMETERS), by_name(model, &parameters))?,
        optimizer_sha256: write_tensors(&partial.join(OPTIMIZER), vectors)?,
    };
    let manifest = serde_json::to_string_pretty(&info)
        .map_err(|cause| TrainError::file("write", &partial, cause))?;
    write_synced(&partial.join(MANIFEST), manifest.as_bytes())?;
    remove_folder(&target)?;
    fs::rename(&partial, &target).map_err(|cause| TrainError::file("write", &target, cause))?;
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
        train_seconds: 0.0,
        best: None,
        parameters,
        optimizer: MetaOptimizer::new(&config.optimizer),
    };
    save(&run.checkpoints(), model, &state, config)
}

/// Reads a checkpoint's manifest.
pub(crate) fn read_info(folder: &Path) -> Result<CheckpointInfo, TrainError> {
    let path = folder.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(|cause| TrainError::file("read", &path, cause))?;
    let info: CheckpointInfo =
        serde_json::from_str(&text).map_err(|cause| TrainError::checkpoint(folder, cause))?;
    if info.format != FORMAT {
        let cause = format!("format {}, expected {FORMAT}", info.format);
        return Err(TrainError::checkpoint(folder, cause));
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
    let parameters = read_parameters(folder, &info, model, device)?;
    let n_values = parameters.dims()[0];
    let bytes = read_checked(folder, OPTIMIZER, &info.optimizer_sha256)?;
    let tensors =
        SafeTensors::deserialize(&bytes).map_err(|cause| TrainError::checkpoint(folder, cause))?;
    let mut optimizer = MetaOptimizer::new(&config.optimizer);
    optimizer
        .restore(info.optimizer_time, |name| {
            let values = float_values(&tensors.tensor(name).ok()?)?;
            let is_whole = values.len() == n_values;
            is_whole.then(|| Tensor::from_data(TensorData::new(values, [n_values]), device))
        })
        .map_err(|cause| TrainError::checkpoint(folder, cause))?;
    Ok(TrainingState {
        step: info.step,
        train_seconds: info.train_seconds,
        best: info.best,
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
    let model = config.new_learner(device)?;
    let parameters = read_parameters(folder, &info, &model, device)?;
    Ok((from_vector(model, &parameters), config, info))
}

fn read_parameters(
    folder: &Path,
    info: &CheckpointInfo,
    model: &Learner,
    device: &Device,
) -> Result<Tensor<1>, TrainError> {
    let bytes = read_checked(folder, PARAMETERS, &info.parameters_sha256)?;
    let tensors =
        SafeTensors::deserialize(&bytes).map_err(|cause| TrainError::checkpoint(folder, cause))?;
    let mut vector = Vec::new();
    for slot in slots(model) {
        let values = tensors
            .tensor(&slot.name)
            .ok()
            .filter(|view| view.shape() == slot.shape)
            .and_then(|view| float_values(&view))
            .ok_or_else(|| {
                let cause = format!("no parameter {} of shape {:?}", slot.name, slot.shape);
                TrainError::checkpoint(folder, cause)
            })?;
        vector.extend(values);
    }
    let n_values = vector.len();
    let device = device.clone().inner();
    Ok(Tensor::from_data(
        TensorData::new(vector, [n_values]),
        &device,
    ))
}

pub(crate) type NamedValues = Vec<(String, Vec<usize>, Vec<f32>)>;

pub(crate) fn by_name(model: &Learner, parameters: &[f32]) -> NamedValues {
    let mut rest = parameters;
    slots(model)
        .into_iter()
        .map(|slot| {
            let (values, later) = rest.split_at(slot.len());
            rest = later;
            (slot.name, slot.shape, values.to_vec())
        })
        .collect()
}

/// SHA-256 of a model's parameters: the same for the same bits, wherever it lies.
pub(crate) fn parameters_digest(model: &Learner) -> String {
    let bytes: Vec<u8> = vector_values(&to_vector(model))
        .into_iter()
        .flat_map(f32::to_le_bytes)
        .collect();
    sha256(&bytes)
}

pub(crate) fn vector_values(vector: &Tensor<1>) -> Vec<f32> {
    vector.to_data().iter::<f32>().collect()
}

fn float_values(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let float = |bytes: &[u8]| bytes.try_into().map(f32::from_le_bytes).ok();
    (view.dtype() == Dtype::F32)
        .then(|| view.data().chunks_exact(4).map(float).collect())
        .flatten()
}

/// Writes tensors and returns the file's SHA-256.
fn write_tensors(path: &Path, tensors: NamedValues) -> Result<String, TrainError> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape, values)| {
            let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|cause| TrainError::file("write", path, cause))?;
    let file = safetensors::serialize(views, None)
        .map_err(|cause| TrainError::file("write", path, cause))?;
    write_synced(path, &file)?;
    Ok(sha256(&file))
}

fn read_checked(folder: &Path, name: &str, expected: &str) -> Result<Vec<u8>, TrainError> {
    let path = folder.join(name);
    let bytes = fs::read(&path).map_err(|cause| TrainError::file("read", &path, cause))?;
    if sha256(&bytes) == expected {
        Ok(bytes)
    } else {
        let cause = format!("{name} does not match the SHA-256 in {MANIFEST}");
        Err(TrainError::checkpoint(folder, cause))
    }
}

/// Writes a file and waits until it has reached the disk.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    File::create(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(|cause| TrainError::file("write", path, cause))
}

pub(crate) fn remove_folder(path: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(TrainError::file("remove", path, cause))
        }
        _ => Ok(()),
    }
}
