//! Learned classifiers beside the generated CNN, which only training looks at.
//!
//! Warm-up heads on the inner layers guide the first steps, one layer after another, until only
//! the real logits count (released code, `warmup_steps`). The class head tells the real training
//! classes from the image encoder's features (released code, `shared_head_weight`).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use ht_cnn::{Activations, CnnSpec, Features, flatten_features};

use crate::{ClassHeadConfig, ParameterInit, WarmupHeadsConfig};

/// One head per convolution layer but the last.
#[derive(Module, Debug)]
pub struct WarmupHeads {
    /// `[C, N]` each.
    heads: Vec<Linear>,
    #[module(skip)]
    config: WarmupHeadsConfig,
}

impl WarmupHeads {
    pub(crate) fn new(config: WarmupHeadsConfig, spec: &CnnSpec, init: &mut ParameterInit) -> Self {
        let n_heads = spec.layers.len() - 1;
        Self {
            heads: spec.layers[..n_heads]
                .iter()
                .map(|layer| init.linear(layer.output.channels, spec.ways))
                .collect(),
            config,
        }
    }

    /// Logits of each head: a dense layer on the means over the pixels.
    ///
    /// # Shapes
    /// - `activations`: outputs of the convolution layers for the query images
    /// - returns: `[E, Q, N]` each
    pub fn logits(&self, activations: &[Activations]) -> Vec<Tensor<3>> {
        let means = activations
            .iter()
            .map(|activations| flatten_features(activations.clone(), Features::Mean));
        self.heads
            .iter()
            .zip(means)
            .map(|(head, means)| head.forward(means))
            .collect()
    }

    /// Sum of the squares of each head's kernel.
    ///
    /// # Shapes
    /// - returns: `[1]` each
    pub fn squared_kernels(&self) -> Vec<Tensor<1>> {
        let kernels = self.heads.iter().map(|head| head.weight.val());
        kernels.map(|kernel| kernel.square().sum()).collect()
    }

    /// Weights of the heads' losses at a step (from 0), and last that of the real logits.
    pub fn loss_weights(&self, step: u64) -> Vec<f64> {
        self.config.loss_weights(step, self.heads.len())
    }
}

impl WarmupHeadsConfig {
    /// The weights for H heads: head i rises and falls around step i T / H, the real logits
    /// rise to 1 at step T.
    pub fn loss_weights(&self, step: u64, n_heads: usize) -> Vec<f64> {
        let (step, steps) = (step as f64, self.steps as f64);
        let stride = steps / n_heads as f64;
        let head = |i: usize| (1.0 - (step - i as f64 * stride).abs() / stride).max(0.0);
        let real = (1.0 + (step - steps) / stride).clamp(0.0, 1.0);
        (0..n_heads).map(head).chain([real]).collect()
    }
}

/// One dense layer on the features of the images.
#[derive(Module, Debug)]
pub struct ClassHead {
    /// `[A, classes]`.
    dense: Linear,
}

impl ClassHead {
    pub(crate) fn new(
        config: ClassHeadConfig,
        n_features: usize,
        init: &mut ParameterInit,
    ) -> Self {
        Self {
            dense: init.linear(n_features, config.classes),
        }
    }

    /// Logits of the real classes.
    ///
    /// # Shapes
    /// - `image_features`: `[E, S, A]`
    /// - returns: `[E, S, classes]`
    pub fn logits(&self, image_features: Tensor<3>) -> Tensor<3> {
        self.dense.forward(image_features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_head_after_another() {
        let config = WarmupHeadsConfig { steps: 300 };
        assert_eq!(config.loss_weights(0, 3), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(config.loss_weights(150, 3), [0.0, 0.5, 0.5, 0.0]);
        assert_eq!(config.loss_weights(250, 3), [0.0, 0.0, 0.5, 0.5]);
        assert_eq!(config.loss_weights(1000, 3), [0.0, 0.0, 0.0, 1.0]);
    }
}
