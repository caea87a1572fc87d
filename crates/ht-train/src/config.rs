//! An experiment as a person writes it: one TOML file, every key of which is known.
//!
//! Files are complete: what is not written is not set. Unknown keys are errors, and an
//! override (`--set key=value`) of an unknown key names the nearest known one.

use std::fs;
use std::path::Path;

use ht_cnn::CnnConfig;
use ht_episodes::{
    ClassRotation, Division, EpisodeAugmentation, EpisodeSpec, ImageJitter, ImageSource, Irregular,
    PhotoAugmentation, QueryPool, Removal, SplitConfig, Unlabelled,
};
use ht_generator::{GeneratorConfig, HiddenSamples};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{LossConfig, OptimizerConfig, ScheduleConfig, TrainError};

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
    /// The generator.
    pub generator: GeneratorConfig,
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

/// Size of the episodes, and the turning of their classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodesConfig {
    /// N: classes per episode.
    pub ways: usize,
    /// K: labelled support images per class.
    pub shots: usize,
    /// Query images per class, in training.
    pub queries: usize,
    /// Quarter turns of training classes.
    pub rotation: ClassRotation,
    /// Where the query images come from.
    #[serde(default)]
    pub query_pool: QueryPool,
    /// Unlabelled support images, or none.
    pub unlabelled: Option<UnlabelledConfig>,
    /// A fixed division of each class into labelled and unlabelled images, or none.
    pub division: Option<Division>,
    /// Episodes of different sizes, or none.
    pub irregular: Option<Irregular>,
    /// Random removal of support samples in training, or none.
    pub removal: Option<Removal>,
    /// Operations on all images of a class, in training, or none.
    pub augmentation: Option<EpisodeAugmentation>,
    /// Photo augmentation, in training, or none.
    pub photo: Option<PhotoAugmentation>,
    /// Small changes of each image alone, in training, or none.
    pub jitter: Option<ImageJitter>,
}

/// Unlabelled support images: M may differ between training and evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnlabelledConfig {
    /// M in training.
    pub train: usize,
    /// M in validation and test.
    pub evaluation: usize,
    /// H: further classes of which M unlabelled images each are mixed in.
    #[serde(default)]
    pub distractors: usize,
}

impl EpisodesConfig {
    /// The training episodes.
    pub fn train_spec(&self) -> EpisodeSpec {
        self.spec(self.queries, |unlabelled| unlabelled.train)
    }

    /// The validation and test episodes, with their own number of queries per class.
    pub fn evaluation_spec(&self, queries: usize) -> EpisodeSpec {
        self.spec(queries, |unlabelled| unlabelled.evaluation)
    }

    fn spec(&self, queries: usize, per_class: fn(UnlabelledConfig) -> usize) -> EpisodeSpec {
        let unlabelled = self.unlabelled.map(|unlabelled| Unlabelled {
            per_class: per_class(unlabelled),
            distractors: if per_class(unlabelled) == 0 {
                0
            } else {
                unlabelled.distractors
            },
        });
        EpisodeSpec {
            ways: self.ways,
            shots: self.shots,
            queries,
            query_pool: self.query_pool,
            unlabelled: unlabelled.unwrap_or_default(),
            division: self.division,
            irregular: self.irregular,
            removal: self.removal.unwrap_or_default(),
            augmentation: self.augmentation,
            photo: self.photo,
            jitter: self.jitter,
        }
    }
}

/// The training loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Steps, one update each.
    pub steps: u64,
    /// E: episodes per step.
    pub meta_batch: usize,
    /// Episodes per forward and backward pass; a step adds up the gradients of
    /// `meta_batch / micro_batch` passes.
    pub micro_batch: usize,
    /// Largest norm of the whole gradient, or none.
    pub gradient_clip: Option<f64>,
    /// Steps between lines in the metrics.
    pub log_every: u64,
    /// Steps between validations.
    pub validate_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
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

/// One `--set key=value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    key: String,
    value: Value,
}

impl std::str::FromStr for Override {
    type Err = String;

    /// The value is TOML; what is not TOML is taken as a string.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} has no '=', expected key=value"))?;
        let value = value.trim();
        let parsed = format!("value = {value}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("value"));
        Ok(Self {
            key: key.trim().to_owned(),
            value: parsed.unwrap_or_else(|| Value::String(value.to_owned())),
        })
    }
}

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
        let text =
            fs::read_to_string(path).map_err(|cause| TrainError::file("read", path, cause))?;
        Self::parse(&text, &path.display().to_string(), overrides)
    }

    /// Reads the text of a file called `place` and applies overrides in order.
    ///
    /// # Errors
    /// A wrong key or value.
    pub fn parse(text: &str, place: &str, overrides: &[Override]) -> Result<Self, TrainError> {
        let fail = |place: &str, cause: &dyn ToString| TrainError::Config {
            place: place.to_owned(),
            cause: cause.to_string().trim_end().to_owned(),
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

    fn check(&self) -> Result<(), TrainError> {
        let training = &self.training;
        let evaluation = &self.evaluation;
        for (key, value) in [
            ("training.steps", training.steps),
            ("training.meta_batch", training.meta_batch as u64),
            ("training.micro_batch", training.micro_batch as u64),
            ("training.log_every", training.log_every),
            ("training.validate_every", training.validate_every),
            ("training.checkpoint_every", training.checkpoint_every),
            (
                "evaluation.validation_episodes",
                evaluation.validation_episodes,
            ),
            ("evaluation.test_episodes", evaluation.test_episodes),
        ] {
            if value == 0 {
                return Err(TrainError::Config {
                    place: key.to_owned(),
                    cause: "is 0, expected at least 1".to_owned(),
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
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(TrainError::Config {
                    place: key.to_owned(),
                    cause: format!("is {value}, expected a number from 0 on, at most {most:e}"),
                });
            }
        }
        if self.loss.weight_variation > 0.0 && !self.generator.added_weights {
            return Err(TrainError::Config {
                place: "loss.weight_variation".to_owned(),
                cause: "compares generated with added weights, but generator.added_weights is \
                        not true"
                    .to_owned(),
            });
        }
        if self.episodes.irregular.is_some()
            && self.generator.hidden_samples == HiddenSamples::KeysOnly
        {
            return Err(TrainError::Config {
                place: "generator.hidden_samples".to_owned(),
                cause: "is \"keys-only\", but the padding of episodes.irregular must be hidden \
                        everywhere: expected \"removed\""
                    .to_owned(),
            });
        }
        let rate = self.schedule.learning_rate;
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(TrainError::Config {
                place: "schedule.learning_rate".to_owned(),
                cause: format!("is {rate}, expected a positive number"),
            });
        }
        if self.name.is_empty() || self.name.contains(['/', '\\']) || self.name.starts_with('.') {
            return Err(TrainError::Config {
                place: "name".to_owned(),
                cause: format!("is {:?}, expected a plain folder name", self.name),
            });
        }
        Ok(())
    }
}

/// Dotted paths of all values that are no tables.
fn leaf_keys(table: &Table) -> Vec<String> {
    table
        .iter()
        .flat_map(|(key, value)| match value {
            Value::Table(inner) => leaf_keys(inner)
                .into_iter()
                .map(|rest| format!("{key}.{rest}"))
                .collect(),
            _ => vec![key.clone()],
        })
        .collect()
}

fn get<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((first, rest)) => get(table.get(first)?.as_table()?, rest),
    }
}

fn set(table: &mut Table, key: &str, value: Value) -> Result<(), String> {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
            Ok(())
        }
        Some((first, rest)) => {
            let inner = table
                .entry(first)
                .or_insert_with(|| Value::Table(Table::new()))
                .as_table_mut()
                .ok_or_else(|| format!("{first} is a value, expected a section"))?;
            set(inner, rest, value)
        }
    }
}

fn nearest<'a>(key: &str, known: &'a [String]) -> &'a str {
    known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)))
        .map_or("", String::as_str)
}

#[cfg(test)]
mod tests;
