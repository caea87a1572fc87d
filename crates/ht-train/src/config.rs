//! An experiment as a person writes it: one TOML file, every key of which is known.
//!
//! Files are complete: what is not written is not set. Unknown keys are errors, and an
//! override (`--set key=value`) of an unknown key names the nearest known one.

mod episodes;
mod keys;

use std::path::Path;

use ht_baselines::BaselineConfig;
use ht_cnn::CnnConfig;
use ht_episodes::{ImageSource, SplitConfig};
use ht_generator::{GeneratorConfig, HiddenSamples};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use episodes::{EpisodesConfig, UnlabelledConfig};
pub use keys::Override;
use keys::{get, leaf_keys, nearest, set};

use crate::{Decay, LossConfig, Method, OptimizerConfig, ScheduleConfig, TrainError};
use ht_files::{bounded, clipped};

/// The images of an experiment.
pub type DataConfig = ImageSource;

/// One experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentConfig {
    /// Name of the experiment, and of its run directory.
    pub name: String,
    /// Seed of the initial parameters and the training episodes.
    pub seed: u64,
    /// Images.
    pub data: DataConfig,
    /// Division of the classes.
    pub split: SplitConfig,
    /// Size of the episodes.
    pub episodes: EpisodesConfig,
    /// The CNN that is generated.
    pub cnn: CnnConfig,
    /// The generator, or none where a baseline stands in its place.
    pub generator: Option<GeneratorConfig>,
    /// A method that the generator is compared with, or none.
    pub baseline: Option<BaselineConfig>,
    /// What is added to the cross-entropy, or nothing.
    #[serde(default)]
    pub loss: LossConfig,
    /// The rule that turns gradients into updates.
    pub optimizer: OptimizerConfig,
    /// The learning rate over time.
    pub schedule: ScheduleConfig,
    /// The loop.
    pub training: TrainingConfig,
    /// How results are measured.
    pub evaluation: EvaluationConfig,
}

/// The training loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// What the steps minimise.
    #[serde(default)]
    pub objective: TrainingObjective,
    /// Steps, one update each.
    pub steps: u64,
    /// E: episodes per step.
    pub meta_batch: usize,
    /// Episodes per forward and backward pass; a step adds up the gradients of
    /// `meta_batch / micro_batch` passes.
    pub micro_batch: usize,
    /// Largest norm of the whole gradient, or none.
    pub gradient_clip: Option<f64>,
    /// A step with a larger loss has gone wrong; a million if left out.
    pub largest_loss: Option<f64>,
    /// Steps between lines in the metrics.
    pub log_every: u64,
    /// Steps between validations.
    pub validate_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
}

/// What training minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainingObjective {
    /// The loss of the query images under the generated CNNs (paper, equation 1).
    #[default]
    Episodes,
    /// Only that of the class head: the image encoder is trained alone, for another run to start
    /// from (released code, `pretrain_shared_feature`). Nothing is generated, so there are no
    /// validations and no test.
    ClassHead,
}

/// Fixed episodes that results are measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Seed of the episodes, apart from the training seed: two runs share their tests.
    pub seed: u64,
    /// Query images per class.
    pub queries: usize,
    /// Episodes of each validation.
    pub validation_episodes: u64,
    /// Episodes of the final test.
    pub test_episodes: u64,
}

/// More episodes of a step or a test would not fit in memory.
const MOST_EPISODES: u64 = 1_000_000;

/// The experiment of the first command in the README, built in so that it runs anywhere.
const QUICKSTART: &str = include_str!("../../../configs/quickstart.toml");

impl ExperimentConfig {
    /// The built-in experiment, `configs/quickstart.toml`, with overrides applied in order.
    ///
    /// # Errors
    /// A wrong key or value in an override.
    pub fn quickstart(overrides: &[Override]) -> Result<Self, TrainError> {
        Self::parse(QUICKSTART, "quickstart.toml", overrides)
    }

    /// Reads a file and applies overrides in order.
    ///
    /// # Errors
    /// An unreadable file, a wrong key or value.
    pub fn load(path: &Path, overrides: &[Override]) -> Result<Self, TrainError> {
        let text = bounded::read_text(path, bounded::SMALL_FILE)?;
        Self::parse(&text, &path.display().to_string(), overrides)
    }

    /// Reads the text of a file called `place` and applies overrides in order.
    ///
    /// # Errors
    /// A wrong key or value.
    pub fn parse(text: &str, place: &str, overrides: &[Override]) -> Result<Self, TrainError> {
        let fail = |place: &str, cause: &dyn ToString| TrainError::Config {
            place: place.to_owned(),
            cause: clipped(cause.to_string().trim_end()),
        };
        // The text is read once as it stands, so that errors show its lines.
        let mut config: Self = toml::from_str(text).map_err(|cause| fail(place, &cause))?;
        for Override { key, value } in overrides {
            let place = format!("--set {key}");
            let mut table = config.to_table();
            let known = leaf_keys(&table);
            set(&mut table, key, value.clone()).map_err(|cause| fail(&place, &cause))?;
            config = Value::Table(table)
                .try_into()
                .map_err(|cause: toml::de::Error| {
                    if known.contains(key) {
                        return fail(&place, &cause.message());
                    }
                    let nearest = nearest(key, &known);
                    let cause = format!("{}; nearest known key: {nearest}", cause.message());
                    fail(&place, &cause)
                })?;
        }
        config.check()?;
        Ok(config)
    }

    /// The file that says the same.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_default()
    }

    fn to_table(&self) -> Table {
        Table::try_from(self).unwrap_or_default()
    }

    /// Keys in which two experiments differ, with both values.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (ours, theirs) = (self.to_table(), other.to_table());
        let mut keys = leaf_keys(&ours);
        keys.extend(leaf_keys(&theirs));
        keys.sort();
        keys.dedup();
        let show = |value: Option<&Value>| value.map_or("none".to_owned(), Value::to_string);
        keys.iter()
            .map(|key| (key, get(&ours, key), get(&theirs, key)))
            .filter(|(_, ours, theirs)| ours != theirs)
            .map(|(key, ours, theirs)| format!("{key} ({} -> {})", show(ours), show(theirs)))
            .collect()
    }

    /// The method: one of the sections `generator` and `baseline`.
    ///
    /// # Errors
    /// Both, or neither.
    pub fn method(&self) -> Result<Method<'_>, TrainError> {
        match (&self.generator, &self.baseline) {
            (Some(generator), None) => Ok(Method::Generator(generator)),
            (None, Some(baseline)) => Ok(Method::Baseline(baseline)),
            (both, _) => Err(TrainError::Config {
                place: "baseline".to_owned(),
                cause: format!(
                    "there is {} a section generator, expected one of the two",
                    if both.is_some() {
                        "also"
                    } else {
                        "neither this nor"
                    }
                ),
            }),
        }
    }

    fn check(&self) -> Result<(), TrainError> {
        self.check_numbers()?;
        let method = self.method()?;
        let (has_head, has_added, hides_keys_only) = match method {
            Method::Generator(generator) => (
                generator.class_head.is_some(),
                generator.added_weights,
                generator.hidden_samples == HiddenSamples::KeysOnly,
            ),
            Method::Baseline(_) => (false, false, false),
        };
        if self.loss.squared_kernels > 0.0 && matches!(method, Method::Baseline(_)) {
            return Err(TrainError::Config {
                place: "loss.squared_kernels".to_owned(),
                cause: "speaks of generated kernels, but this experiment has a baseline".to_owned(),
            });
        }
        if self.loss.weight_variation > 0.0 && !has_added {
            return Err(TrainError::Config {
                place: "loss.weight_variation".to_owned(),
                cause: "compares generated with added weights, but generator.added_weights is \
                        not true"
                    .to_owned(),
            });
        }
        let is_alone = self.training.objective == TrainingObjective::ClassHead;
        let is_used = is_alone || self.loss.class_head > 0.0;
        if is_used != has_head {
            return Err(TrainError::Config {
                place: "generator.class_head".to_owned(),
                cause: "belongs to loss.class_head > 0 or training.objective = \"class-head\": \
                        expected it with one of them, and not without"
                    .to_owned(),
            });
        }
        if self.episodes.irregular.is_some() && hides_keys_only {
            return Err(TrainError::Config {
                place: "generator.hidden_samples".to_owned(),
                cause: "is \"keys-only\", but the padding of episodes.irregular must be hidden \
                        everywhere: expected \"removed\""
                    .to_owned(),
            });
        }
        self.check_update()?;
        let is_strange = |c: char| matches!(c, '/' | '\\') || c.is_control();
        if self.name.is_empty() || self.name.contains(is_strange) || self.name.starts_with('.') {
            return Err(TrainError::Config {
                place: "name".to_owned(),
                cause: format!("is {:?}, expected a plain folder name", self.name),
            });
        }
        Ok(())
    }

    /// The numbers of the update, without which a run learns nothing or the wrong way round.
    fn check_update(&self) -> Result<(), TrainError> {
        let mut positive = vec![("schedule.learning_rate", self.schedule.learning_rate)];
        let mut below_one = Vec::new();
        if let Some(largest) = self.training.gradient_clip {
            positive.push(("training.gradient_clip", largest));
        }
        if let Decay::Exponential { rate, steps } = self.schedule.decay {
            positive.push(("schedule.decay.exponential.rate", rate));
            positive.push(("schedule.decay.exponential.steps", steps));
        }
        if let OptimizerConfig::Adam {
            beta_1,
            beta_2,
            epsilon,
        } = self.optimizer
        {
            positive.push(("optimizer.epsilon", f64::from(epsilon)));
            below_one.push(("optimizer.beta_1", beta_1));
            below_one.push(("optimizer.beta_2", beta_2));
        }
        let wrong = |place: &str, cause: String| TrainError::Config {
            place: place.to_owned(),
            cause,
        };
        for (key, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return Err(wrong(
                    key,
                    format!("is {value}, expected a positive number"),
                ));
            }
        }
        for (key, value) in below_one {
            if !(0.0..1.0).contains(&value) {
                let cause = format!("is {value}, expected a number from 0 on, below 1");
                return Err(wrong(key, cause));
            }
        }
        Ok(())
    }

    /// Every number alone.
    fn check_numbers(&self) -> Result<(), TrainError> {
        let training = &self.training;
        let evaluation = &self.evaluation;
        for (key, value) in [
            ("training.steps", training.steps),
            ("training.micro_batch", training.micro_batch as u64),
            ("training.log_every", training.log_every),
            ("training.validate_every", training.validate_every),
            ("training.checkpoint_every", training.checkpoint_every),
        ] {
            if value == 0 {
                return Err(TrainError::Config {
                    place: key.to_owned(),
                    cause: "is 0, expected at least 1".to_owned(),
                });
            }
        }
        // One episode of a test has no interval.
        for (key, value, least) in [
            ("training.meta_batch", training.meta_batch as u64, 1),
            (
                "evaluation.validation_episodes",
                evaluation.validation_episodes,
                2,
            ),
            ("evaluation.test_episodes", evaluation.test_episodes, 2),
        ] {
            if !(least..=MOST_EPISODES).contains(&value) {
                return Err(TrainError::Config {
                    place: key.to_owned(),
                    cause: format!("is {value}, expected {least} to {MOST_EPISODES}"),
                });
            }
        }
        for (key, value, most) in [
            ("loss.label_smoothing", self.loss.label_smoothing, 1.0),
            (
                "loss.weight_variation",
                self.loss.weight_variation,
                f64::MAX,
            ),
            ("loss.squared_kernels", self.loss.squared_kernels, f64::MAX),
            ("loss.class_head", self.loss.class_head, f64::MAX),
            (
                "training.largest_loss",
                training.largest_loss.unwrap_or(0.0),
                f64::MAX,
            ),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(TrainError::Config {
                    place: key.to_owned(),
                    cause: format!("is {value}, expected a number from 0 on, at most {most:e}"),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
