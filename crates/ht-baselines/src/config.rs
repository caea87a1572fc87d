//! What a person writes about a baseline.

use ht_cnn::CnnSpec;
use ht_generator::MOST_PARAMETERS;
use serde::{Deserialize, Serialize};

/// A method beside the HyperTransformer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BaselineConfig {
    /// Nearest class mean in a learned feature space (Snell et al., 2017).
    ProtoNet {},
    /// Gradient steps on all weights from a learned start (Finn et al., 2017), first order.
    Maml(InnerSteps),
    /// The same on the logits layer only (Raghu et al., 2020), exact.
    Anil(InnerSteps),
    /// Convolutions trained on all training classes, then a logits layer fitted to the support
    /// set from zero (Tian et al., 2020).
    FineTune {
        /// Number of training classes.
        classes: usize,
        /// Gradient steps on the support set.
        steps: usize,
        /// Their rate.
        rate: f64,
        /// Share of the weights that each step takes away, before the rate.
        decay: f64,
    },
}

/// Gradient steps on a support set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InnerSteps {
    /// How many.
    pub steps: usize,
    /// Their rate.
    pub rate: f64,
}

/// Training classes, rotated ones counted apart.
const MOST_CLASSES: usize = 1 << 20;

/// A baseline that cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BaselineError {
    /// A number outside its range.
    #[error("baseline.{key} is {value}, expected {expected}")]
    BadNumber {
        /// The key.
        key: &'static str,
        /// Its value.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// More than [`MOST_PARAMETERS`].
    #[error(
        "the baseline would have {n_parameters} parameters, expected at most \
         {MOST_PARAMETERS}; the sizes of cnn and baseline.classes are too large together"
    )]
    TooLarge {
        /// How many.
        n_parameters: u64,
    },
}

impl BaselineConfig {
    /// Name of the method.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ProtoNet {} => "proto-net",
            Self::Maml(_) => "maml",
            Self::Anil(_) => "anil",
            Self::FineTune { .. } => "fine-tune",
        }
    }

    /// Number of training classes, for the method that tells them apart.
    pub fn n_classes(&self) -> Option<usize> {
        match *self {
            Self::FineTune { classes, .. } => Some(classes),
            Self::ProtoNet {} | Self::Maml(_) | Self::Anil(_) => None,
        }
    }

    /// Parameters of the method for CNNs of a given shape.
    pub fn n_parameters(&self, spec: &CnnSpec) -> u64 {
        let head = |rows: usize| (rows * (spec.n_features() + 1)) as u64;
        let body = spec.n_weights() as u64 - head(spec.ways);
        match *self {
            Self::ProtoNet {} => body,
            Self::Maml(_) | Self::Anil(_) => body + head(spec.ways),
            Self::FineTune { classes, .. } => body + head(classes),
        }
    }

    /// Checks everything that would keep a baseline for a CNN from being built.
    ///
    /// # Errors
    /// The first key out of range, or too many parameters.
    pub fn check(&self, spec: &CnnSpec) -> Result<(), BaselineError> {
        self.check_numbers()?;
        let n_parameters = self.n_parameters(spec);
        if n_parameters > MOST_PARAMETERS {
            return Err(BaselineError::TooLarge { n_parameters });
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), BaselineError> {
        let (steps, rate, decay, classes) = match *self {
            Self::ProtoNet {} => return Ok(()),
            Self::Maml(InnerSteps { steps, rate }) | Self::Anil(InnerSteps { steps, rate }) => {
                (steps, rate, 0.0, 1)
            }
            Self::FineTune {
                classes,
                steps,
                rate,
                decay,
            } => (steps, rate, decay, classes),
        };
        let error = |key, value, expected| BaselineError::BadNumber {
            key,
            value,
            expected,
        };
        if steps == 0 {
            return Err(error("steps", 0.0, "at least 1"));
        }
        if !(1..=MOST_CLASSES).contains(&classes) {
            return Err(error("classes", classes as f64, "1 to 1048576"));
        }
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(error("rate", rate, "a positive number"));
        }
        if !(decay >= 0.0 && rate * decay < 1.0) {
            return Err(error("decay", decay, "from 0 on, less than 1 / rate"));
        }
        Ok(())
    }
}
