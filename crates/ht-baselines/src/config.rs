//! What a person writes about a baseline.

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

/// A number that a baseline cannot have.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("baseline.{key} is {value}, expected {expected}")]
pub struct BaselineError {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: f64,
    /// What it should be.
    pub expected: &'static str,
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

    /// Checks every number.
    ///
    /// # Errors
    /// The first key out of range.
    pub fn check(&self) -> Result<(), BaselineError> {
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
        let error = |key, value, expected| BaselineError {
            key,
            value,
            expected,
        };
        if steps == 0 {
            return Err(error("steps", 0.0, "at least 1"));
        }
        if classes == 0 {
            return Err(error("classes", 0.0, "at least 1"));
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
