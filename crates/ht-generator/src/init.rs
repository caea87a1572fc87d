//! Initial parameters from a seed, drawn on the host.
//!
//! Burn's backends have different random streams; drawing here gives every device the same
//! model. Each layer has a stream of its own, so changing one leaves the others as they were.

use burn::module::Param;
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor, TensorData};
use ht_episodes::stream;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Added to the variance of layer norms, as in the released code.
pub(crate) const LAYER_NORM_EPSILON: f64 = 1e-6;

/// Draws the parameters of one part of the model.
#[derive(Debug)]
pub struct ParameterInit {
    rng: ChaCha8Rng,
    device: Device,
}

impl ParameterInit {
    /// The stream of part `part` (0 for what all layers share, then the layers).
    pub fn new(seed: u64, part: u64, device: &Device) -> Self {
        Self {
            rng: stream(seed, "parameters", part, 0),
            device: device.clone(),
        }
    }

    /// Uniform in ±sqrt(6 / (fan in + fan out)).
    pub fn glorot<const D: usize>(
        &mut self,
        shape: [usize; D],
        fan_in: usize,
        fan_out: usize,
    ) -> Param<Tensor<D>> {
        let limit = (6.0 / (fan_in + fan_out) as f32).sqrt();
        let values = (0..shape.iter().product())
            .map(|_| self.rng.random_range(-limit..limit))
            .collect();
        self.parameter(values, shape)
    }

    /// Standard normal.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        let values = self.normal_values(shape.iter().product());
        self.parameter(values, shape)
    }

    /// Standard normal values, by the Box-Muller transform.
    pub(crate) fn normal_values(&mut self, n_values: usize) -> Vec<f32> {
        (0..n_values)
            .map(|_| {
                let radius = (-2.0 * (1.0 - self.rng.random::<f32>()).ln()).sqrt();
                radius * (std::f32::consts::TAU * self.rng.random::<f32>()).cos()
            })
            .collect()
    }

    /// One value everywhere.
    pub fn constant<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.parameter(vec![value; shape.iter().product()], shape)
    }

    /// A dense layer with Glorot weights and zero bias.
    pub fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: self.glorot([inputs, outputs], inputs, outputs),
            bias: Some(self.constant([outputs], 0.0)),
        }
    }

    /// A layer norm that starts as the plain normalisation.
    pub fn layer_norm(&self, width: usize) -> LayerNorm {
        let mut norm = LayerNormConfig::new(width)
            .with_epsilon(LAYER_NORM_EPSILON)
            .init(&self.device);
        norm.gamma = self.constant([width], 1.0);
        norm.beta = Some(self.constant([width], 0.0));
        norm
    }

    pub(crate) fn parameter<const D: usize>(
        &self,
        values: Vec<f32>,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), &self.device)
    }
}
