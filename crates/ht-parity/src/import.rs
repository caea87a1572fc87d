//! A checkpoint of the released code as a run of ours.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use ht_generator::WeightGenerator;
use ht_train::{ExperimentConfig, Learner, RunDir, save_parameters};

use crate::tensors::read_arrays;
use crate::{ParityError, Variables, variable_roles};

/// The parameters of a checkpoint.
#[derive(Debug)]
pub struct Imported {
    /// The generator that they belong to.
    pub model: WeightGenerator,
    /// `[P]`.
    pub parameters: Tensor<1>,
    /// Its `global_step`, or 0.
    pub step: u64,
}

/// Reads the variables of a checkpoint: a safetensors file with TensorFlow's names.
///
/// `config` must describe the same model: all variables must find a parameter and all
/// parameters a variable.
///
/// # Errors
/// A damaged file, a variable that does not fit.
pub fn import_checkpoint(
    file: &Path,
    config: &ExperimentConfig,
    device: &Device,
) -> Result<Imported, ParityError> {
    let arrays = read_arrays(file)?;
    let step = arrays
        .get("global_step")
        .and_then(|step| step.values.first());
    let mut roles = variable_roles(arrays.keys().map(String::as_str))?;
    let model = config.new_generator(device)?;
    if model.class_head().is_none() {
        // The released trainer makes this head whether it counts or not.
        roles.retain(|_, role| !role.starts_with("shared_head."));
    }
    let shapes = |name: &str| arrays.get(name).map(|array| array.shape.clone());
    let variables = Variables::new(&roles, shapes, &model)?;
    let parameters = variables.vector(|name| arrays.get(name), device)?;
    Ok(Imported {
        model,
        parameters,
        step: step.map_or(0, |&step| step as u64),
    })
}

impl Imported {
    /// P.
    pub fn n_parameters(&self) -> usize {
        self.parameters.dims()[0]
    }

    /// Writes the parameters into a run as its only checkpoint.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(self, run: &RunDir, config: &ExperimentConfig) -> Result<PathBuf, ParityError> {
        let model = Learner::Generator(self.model);
        let path = save_parameters(run, &model, self.parameters, self.step, config)?;
        Ok(path)
    }
}
