//! The update rule, on the parameter vector: Burn's Adam or plain SGD.
//!
//! The state is held here and not in Burn's `ModuleOptimizer`, whose records are loaded to
//! the default device, a GPU where one is compiled in (docs/decisions.md).

use burn::optim::{Adam, AdamConfig, AdamState, AdaptiveMomentumState, Optimizer};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Adam (Kingma and Ba, 2015).
    Adam {
        /// Decay of the mean.
        beta_1: f32,
        /// Decay of the squares.
        beta_2: f32,
        /// Added to the root of the squares.
        epsilon: f32,
    },
    /// Plain stochastic gradient descent, as in the released code.
    Sgd {},
}

/// A rule with its state.
#[derive(Clone)]
pub struct MetaOptimizer {
    rule: Rule,
}

#[derive(Clone)]
enum Rule {
    Adam {
        adam: Adam,
        state: Option<Box<AdamState<1>>>,
    },
    Sgd,
}

/// What a checkpoint keeps of an optimizer: updates so far, and vectors by name.
pub(crate) struct OptimizerState {
    pub(crate) time: usize,
    pub(crate) vectors: Vec<(&'static str, Tensor<1>)>,
}

const MOMENTS: [&str; 2] = ["moment_1", "moment_2"];

impl MetaOptimizer {
    /// A rule that has seen no gradient.
    pub fn new(config: &OptimizerConfig) -> Self {
        let rule = match *config {
            OptimizerConfig::Adam {
                beta_1,
                beta_2,
                epsilon,
            } => Rule::Adam {
                adam: AdamConfig::new()
                    .with_beta_1(beta_1)
                    .with_beta_2(beta_2)
                    .with_epsilon(epsilon)
                    .build(),
                state: None,
            },
            OptimizerConfig::Sgd {} => Rule::Sgd,
        };
        Self { rule }
    }

    /// Updates the parameters.
    ///
    /// # Shapes
    /// - `parameters`, `gradient`: `[P]`, returns the same
    pub fn step(
        &mut self,
        learning_rate: f64,
        parameters: Tensor<1>,
        gradient: Tensor<1>,
    ) -> Tensor<1> {
        match &mut self.rule {
            Rule::Adam { adam, state } => {
                let before = state.take().map(|state| *state);
                let (updated, after) = adam.step(learning_rate, parameters, gradient, before);
                *state = after.map(Box::new);
                updated
            }
            Rule::Sgd => parameters - gradient * learning_rate,
        }
    }

    /// As [`step`](Self::step), with the gradient scaled down to the largest allowed norm. Nothing
    /// is copied to the host.
    ///
    /// # Shapes
    /// - `parameters`, `gradient`: `[P]`, returns the same
    /// - `norm`: `[1]`, of the gradient
    pub fn clipped_step(
        &mut self,
        learning_rate: f64,
        parameters: Tensor<1>,
        gradient: Tensor<1>,
        norm: Tensor<1>,
        largest: Option<f64>,
    ) -> Tensor<1> {
        let gradient = match largest {
            Some(largest) => {
                let factor = (norm + 1e-12).recip().mul_scalar(largest);
                gradient * factor.clamp_max(1.0)
            }
            None => gradient,
        };
        self.step(learning_rate, parameters, gradient)
    }

    pub(crate) fn state(&self) -> OptimizerState {
        match &self.rule {
            Rule::Adam {
                state: Some(state), ..
            } => {
                let momentum = &state.momentum;
                let moments = [momentum.moment_1.clone(), momentum.moment_2.clone()];
                OptimizerState {
                    time: momentum.time,
                    vectors: MOMENTS.into_iter().zip(moments).collect(),
                }
            }
            Rule::Adam { state: None, .. } | Rule::Sgd => OptimizerState {
                time: 0,
                vectors: Vec::new(),
            },
        }
    }

    /// Puts back a state; `vector` finds a stored vector by name.
    pub(crate) fn restore(
        &mut self,
        time: usize,
        mut vector: impl FnMut(&str) -> Result<Tensor<1>, String>,
    ) -> Result<(), String> {
        if let Rule::Adam { state, .. } = &mut self.rule
            && time > 0
        {
            let [first, second] = MOMENTS.map(&mut vector);
            let momentum = AdaptiveMomentumState::new(time, first?, second?);
            *state = Some(Box::new(AdamState::new(momentum)));
        }
        Ok(())
    }
}
