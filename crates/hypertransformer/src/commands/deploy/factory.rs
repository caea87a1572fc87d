//! What writes CNNs here: a trained generator (or baseline) with its calibration, from `models/` or
//! from a run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use ht_bundle::{
    Bundle, Cnn, Colour, Generator, Golden, Manifest, PixelValue, Preprocessing, Rejection, Resize,
};
use ht_cnn::{GeneratedCnn, NormStatistics};
use ht_episodes::{ImageShape, Picture};
use ht_train::{
    Calibration, ExperimentConfig, Learner, TrainingObjective, load_learner, parameters_digest,
};

use super::task::{Task, images};
use crate::commands::best_checkpoint;
use crate::commands::models::{self, Card};
use crate::progress::say;

/// A trained method, ready to write CNNs.
pub(super) struct Factory {
    /// Name of its model or run.
    pub(super) name: String,
    learner: Learner,
    config: ExperimentConfig,
    parameters_sha256: String,
    calibration: Option<Calibration>,
    /// Percent of query images of the test that the thresholds let pass.
    accepts: Option<f64>,
    device: Device,
}

impl Factory {
    /// Reads a model, or the best checkpoint of a run.
    pub(super) fn load(place: &Path, device: &Device) -> Result<Self> {
        let card = models::is_model(place)
            .then(|| Card::read(place))
            .transpose()?;
        let (mut learner, config, _) = load_learner(&best_checkpoint(place)?, device)?;
        if config.training.objective == TrainingObjective::ClassHead {
            bail!(
                "{} holds an image encoder alone, which writes no CNN",
                place.display()
            );
        }
        let parameters_sha256 = parameters_digest(&learner);
        if let Some(card) = &card {
            card.check(place, &parameters_sha256)?;
        }
        // A CNN that leaves home sees one picture at a time.
        let is_as_trained = learner.spec().norm_statistics == NormStatistics::Support;
        if !is_as_trained {
            say(&format!(
                "note: {} was trained with query-batch statistics; its CNNs are normalised with \
                 support statistics here, which costs accuracy",
                place.display()
            ));
            learner.set_norm_statistics(NormStatistics::Support);
        }
        // Temperature and thresholds hold for the logits that they were fitted on.
        let card = card.filter(|_| is_as_trained);
        let report = card.as_ref().and_then(|card| card.calibration_report);
        let calibration = card.and_then(|card| card.calibration);
        if calibration.is_none() {
            say(&format!(
                "note: {} has no calibration for such CNNs: probabilities are those of the logits as they are, \
                 and no picture is rejected",
                place.display()
            ));
        }
        let name = place.file_name().unwrap_or(place.as_os_str());
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            parameters_sha256,
            learner,
            config,
            calibration,
            accepts: report.map(|report| report.accepts.mean),
            device: device.clone(),
        })
    }

    /// The model of a folder that fits the pictures: one for drawings if all are grey, one for
    /// photographs otherwise.
    pub(super) fn fitting(folder: &Path, pictures: &[Picture], device: &Device) -> Result<Self> {
        let are_grey = pictures.iter().all(Picture::is_grey);
        for place in models::folders(folder)? {
            let (_, config, _) = load_learner(&place, device)?;
            let is_exportable = config.cnn.norm_statistics == NormStatistics::Support;
            if is_exportable && (config.data.shape().channels == 1) == are_grey {
                return Self::load(&place, device);
            }
        }
        bail!(
            "{} has no generator for {} pictures, expected one with support statistics: name one \
             with --model",
            folder.display(),
            if are_grey { "grey" } else { "colour" }
        )
    }

    /// The model of a folder that wrote a bundle.
    pub(super) fn of_bundle(folder: &Path, bundle: &Bundle, device: &Device) -> Result<Self> {
        let wanted = &bundle.manifest.generator;
        for place in models::folders(folder)? {
            let (learner, _, info) = load_learner(&place, device)?;
            // Bundles from before have the digest of the file.
            if [parameters_digest(&learner), info.parameters_sha256]
                .contains(&wanted.parameters_sha256)
            {
                return Self::load(&place, device);
            }
        }
        bail!(
            "{} has no model with the parameters of {} (SHA-256 {}), which wrote the bundle: name \
             it with --model",
            folder.display(),
            wanted.name,
            wanted.parameters_sha256
        )
    }

    /// Shape of the images.
    pub(super) fn shape(&self) -> ImageShape {
        self.config.data.shape()
    }

    /// Whether it was trained on drawings, with bright ink.
    pub(super) fn reads_drawings(&self) -> bool {
        self.config.data.is_drawings()
    }

    /// The most classes of a CNN.
    pub(super) fn ways(&self) -> usize {
        self.learner.spec().ways
    }

    /// The method.
    pub(super) fn method(&self) -> Result<&'static str> {
        Ok(self.config.method()?.name())
    }

    /// Refuses what it cannot do, and leaves out what it was not trained for, saying so.
    pub(super) fn suited(&self, task: Task) -> Result<Task> {
        if task.shape() != self.shape() {
            bail!(
                "images of {} (channels, height, width), but {} reads {}: another --model is needed",
                task.shape(),
                self.name,
                self.shape()
            );
        }
        if task.labels.len() > self.ways() {
            bail!(
                "{} classes, but the CNNs of {} have at most {}",
                task.labels.len(),
                self.name,
                self.ways()
            );
        }
        let shots = self.config.episodes.shots;
        let most = (0..task.labels.len())
            .map(|label| task.n_shots(label))
            .max();
        if most.is_some_and(|most| most > shots) {
            say(&format!(
                "note: {} was trained with up to {shots} pictures of a class; here some have more",
                self.name
            ));
        }
        let has_unlabelled = task.images.iter().any(|image| image.label.is_none());
        if has_unlabelled && self.config.episodes.unlabelled.is_none() {
            say(&format!(
                "note: {} was trained without unlabelled pictures: those of the task are left out",
                self.name
            ));
            return Ok(task.labelled_only());
        }
        Ok(task)
    }

    /// Writes the CNN of a task, in one forward pass.
    pub(super) fn adapt(&self, task: &Task) -> GeneratedCnn {
        let support = task.support_set(self.ways(), &self.device);
        self.learner.adapt(&support)
    }

    /// Logits of images, on the device.
    ///
    /// # Shapes
    /// - `bytes`: `[B, C, H, W]`
    /// - returns: `[B, N]` for the N labels of the task
    pub(super) fn logits(&self, cnn: &GeneratedCnn, bytes: &[u8], task: &Task) -> Vec<f32> {
        let logits = cnn.forward(images(bytes, task.shape(), &self.device));
        let logits = logits.narrow(2, 0, task.labels.len());
        logits.to_data().iter::<f32>().collect()
    }

    /// The bundle of a task.
    pub(super) fn bundle(&self, task: &Task, invert: bool) -> Result<Bundle> {
        let generated = self.adapt(task);
        let n_labels = task.labels.len();
        let golden = task.pixels();
        let calibration = self.calibration.as_ref();
        let shape = self.shape();
        let rejection = calibration.and_then(|calibration| {
            Some(Rejection {
                most_doubt: calibration.most_doubt(n_labels)?,
                false_accept_rate: calibration.false_accept_rate as f32,
                measured_on: format!(
                    "pictures of other classes in {} validation episodes of {}{}",
                    calibration.episodes,
                    self.config.name,
                    self.accepts.map_or(String::new(), |percent| format!(
                        " (and {percent:.0} % of pictures of the episode's own classes in its test)"
                    )),
                ),
            })
        });
        Ok(Bundle {
            manifest: Manifest {
                labels: task.labels.clone(),
                preprocessing: Preprocessing {
                    colour: if shape.channels == 1 {
                        Colour::Grey
                    } else {
                        Colour::Rgb
                    },
                    side: shape.height,
                    resize: Resize::ShorterSideLanczos3CentreCut,
                    invert,
                    value: PixelValue::ByteOver128Minus1,
                },
                temperature: calibration.map_or(1.0, |calibration| {
                    calibration.temperature.at(task.images_per_class()) as f32
                }),
                rejection,
                generator: Generator {
                    name: self.name.clone(),
                    parameters_sha256: self.parameters_sha256.clone(),
                    config: self.config.to_toml(),
                },
                support: task.support_images(),
            },
            golden: Golden {
                logits: self.logits(&generated, &golden, task),
                images: golden,
            },
            cnn: Cnn::from_generated(&generated, 0, n_labels)?,
        })
    }
}

/// Where models lie unless they are named.
pub(super) fn default_models(folder: Option<&PathBuf>) -> Result<PathBuf> {
    let folder = folder.cloned().unwrap_or_else(|| PathBuf::from("models"));
    let context = || {
        format!(
            "no folder {} with models: name a model with --model, or run from the repository",
            folder.display()
        )
    };
    folder.is_dir().then_some(()).with_context(context)?;
    Ok(folder)
}
