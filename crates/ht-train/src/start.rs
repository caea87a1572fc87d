//! Starting a run from what another run has learned.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{by_name, vector_values};
use crate::{
    ExperimentConfig, ParameterSlot, RunDir, TrainError, load_learner, save_parameters, slots,
    to_vector,
};

/// What a run takes from the checkpoint that it starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartPart {
    /// All parameters: both must describe the same method.
    #[default]
    All,
    /// Those of the image encoder, and of the class head if there is one here (released code,
    /// `restore_shared_features_from`).
    ImageEncoder,
    /// All parameters that have the same name and shape here: what a generator for other ways,
    /// shots or another CNN can use.
    Fitting,
}

impl StartPart {
    /// In words, before the name of the other run.
    pub fn of(self) -> &'static str {
        match self {
            Self::All => "all of",
            Self::ImageEncoder => "the image encoder of",
            Self::Fitting => "what fits of",
        }
    }

    fn has(self, parameter: &ParameterSlot) -> bool {
        let name = &parameter.name;
        match self {
            Self::All | Self::Fitting => true,
            Self::ImageEncoder => {
                name.starts_with("image_encoder.") || name.starts_with("class_head.")
            }
        }
    }
}

/// Starts a run from the parameters of another run's checkpoint instead of random ones.
///
/// Everything else (episodes, optimizer, schedule) may differ.
///
/// # Errors
/// A damaged checkpoint, a method with other parameters.
pub fn start_from(
    run: &RunDir,
    checkpoint: &Path,
    part: StartPart,
    config: &ExperimentConfig,
    device: &Device,
) -> Result<(), TrainError> {
    let (other, _, _) = load_learner(checkpoint, device)?;
    let model = config.new_learner(device)?;
    let (ours, theirs) = (slots(&model), slots(&other));
    // A class head that the other run does not have starts at random, statistics that it has not
    // learned as those of drawn kernels.
    let is_lacking = |slot: &ParameterSlot| {
        let may_lack = match part {
            StartPart::All => slot.name.contains(".prior."),
            StartPart::ImageEncoder => slot.name.starts_with("class_head."),
            StartPart::Fitting => return !theirs.contains(slot),
        };
        may_lack && theirs.iter().all(|other| other.name != slot.name)
    };
    let other_method = |cause: String| TrainError::OtherMethod {
        path: checkpoint.to_owned(),
        cause,
    };
    let is_taken = |slot: &&ParameterSlot| part.has(slot) && !is_lacking(slot);
    let taken: Vec<&ParameterSlot> = ours.iter().filter(is_taken).collect();
    if let Some(slot) = taken.iter().find(|slot| !theirs.contains(slot)) {
        let cause = format!(
            "it has no parameter {} of shape {:?}, which this experiment needs{}",
            slot.name,
            slot.shape,
            (theirs.iter().find(|other| other.name == slot.name)).map_or(
                String::new(),
                |other| format!(", but one of {:?}", other.shape)
            ),
        );
        return Err(other_method(cause));
    }
    if taken.is_empty() && part == StartPart::Fitting {
        let cause = "none of its parameters has the name and shape of one here";
        return Err(other_method(cause.to_owned()));
    }
    if taken.is_empty() {
        return Err(TrainError::Config {
            place: "generator.image_encoder".to_owned(),
            cause: "is missing, expected one that takes the other run's parameters".to_owned(),
        });
    }
    let stranger = |slot: &&ParameterSlot| part == StartPart::All && !ours.contains(slot);
    if let Some(slot) = theirs.iter().find(stranger) {
        let cause = format!("its parameter {} has no place here", slot.name);
        return Err(other_method(cause));
    }
    let of_other = by_name(&other, &vector_values(&to_vector(&other)));
    let of_model = by_name(&model, &vector_values(&to_vector(&model)));
    let values: Vec<f32> = (of_model.into_iter().zip(&ours))
        .flat_map(|((name, _, own), slot)| {
            let other = of_other.iter().find(|(other, ..)| *other == name);
            match other.filter(|_| taken.contains(&slot)) {
                Some((_, _, values)) => values.clone(),
                None => own,
            }
        })
        .collect();
    let n_values = values.len();
    let parameters = Tensor::from_data(TensorData::new(values, [n_values]), device);
    save_parameters(run, &model, parameters, 0, config)?;
    Ok(())
}
