//! A trained generator or baseline as a command finds it: a run or a model, with its data.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use burn::tensor::Device;
use ht_train::{
    Experiment, ExperimentConfig, Learner, Override, RunDir, TrainingObjective, load_learner,
};

use super::best_checkpoint;
use super::models::{self, Card};
use crate::progress::say;

/// Sections of an experiment that say what a method is measured on.
const MEASURED_ON: [&str; 4] = ["episodes.", "evaluation.", "data.", "split."];

const OTHER_IMAGES: &str = "note: these are not the images that it was trained on, and not their split: test classes may be \
     among those of its training";

/// What was trained, and what it was trained on.
pub(super) struct Trained {
    /// The run directory or the model's folder.
    pub(super) place: PathBuf,
    /// The best checkpoint.
    pub(super) learner: Learner,
    /// Its experiment, with the data.
    pub(super) experiment: Experiment,
    /// Updates of the checkpoint.
    pub(super) step: u64,
}

impl Trained {
    /// Reads a run or, in its place, a model; `data` counts before the folder that the run knows,
    /// and `overrides` change what it is measured on.
    pub(super) fn load(
        run: Option<&Path>,
        model: Option<&Path>,
        data: Option<&Path>,
        overrides: &[Override],
        device: &Device,
    ) -> Result<Self> {
        let (place, checkpoint) = match (run, model) {
            (Some(run), _) => (run, best_checkpoint(run)?),
            (None, Some(model)) => (model, model.to_owned()),
            (None, None) => bail!("expected a run or a model"),
        };
        let (learner, config, info) = load_learner(&checkpoint, device)?;
        let other_data = data;
        let data = match (data, run) {
            (Some(data), _) => Some(data.to_owned()),
            (None, Some(run)) => RunDir::info(run)?.data,
            (None, None) => None,
        };
        if config.training.objective == TrainingObjective::ClassHead {
            bail!(
                "{} holds an image encoder alone, and no CNN to evaluate",
                place.display()
            );
        }
        let measured_on = measured_on(&config, overrides)?;
        let differences = config.differences(&measured_on);
        let is_told = |section: &str| differences.iter().any(|key| key.starts_with(section));
        let experiment = Experiment::resolve(measured_on, data.as_deref())?;
        if let Some(run) = run
            && let Err(cause) = RunDir::check_data(run, &experiment)
        {
            if other_data.is_none() && !is_told("data.") {
                return Err(cause.into());
            }
            say(OTHER_IMAGES);
        } else if let Some(model) = model.filter(|model| models::is_model(model))
            && let Some(own) = Card::read(model)?.data_sha256
            && own != experiment.data_digest()
        {
            say(OTHER_IMAGES);
        } else if is_told("split.") {
            say(
                "note: this is not the split that it was trained on: test classes may be among those of its training",
            );
        }
        Ok(Self {
            place: place.to_owned(),
            learner,
            experiment,
            step: info.step,
        })
    }
}

/// The experiment with other episodes than those of its training.
fn measured_on(config: &ExperimentConfig, overrides: &[Override]) -> Result<ExperimentConfig> {
    let changed = ExperimentConfig::parse(&config.to_toml(), "the run's config", overrides)?;
    let differences = config.differences(&changed);
    let is_other = |key: &&String| !MEASURED_ON.iter().any(|section| key.starts_with(section));
    if let Some(key) = differences.iter().find(is_other) {
        bail!("--set {key}: expected a key of episodes, evaluation, data or split");
    }
    if config.episodes.ways != changed.episodes.ways {
        bail!(
            "--set episodes.ways: the CNNs have {} labels; for smaller episodes set \
             episodes.irregular={{min_ways=.., max_ways=.., min_shots=..}}",
            config.episodes.ways
        );
    }
    let [own, other] = [config, &changed].map(|config| config.data.shape());
    if own != other {
        bail!("--set data: images of {other} (channels, height, width), but the CNNs read {own}");
    }
    Ok(changed)
}
