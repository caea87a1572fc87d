//! The feed-forward part: a dense layer, an activation, a dense layer.

use super::dense::{CpuTensor, DenseGradient, DenseLayer, values, values_mut};
use super::rows::{activate_backward, add_bias_and_activate};

/// The layers, and the slope of the activation for values below zero (1 without activation).
#[derive(Clone, Debug)]
pub(super) struct FeedForward {
    pub(super) inner: DenseLayer,
    pub(super) outer: DenseLayer,
    pub(super) slope: f32,
}

impl FeedForward {
    /// Returns the result without the last bias, and the activated values.
    ///
    /// # Shapes
    /// - `input`: `[E T, D]`, returns the same and `[E T, inner]`
    pub(super) fn forward(&self, input: &CpuTensor) -> (CpuTensor, CpuTensor) {
        let mut inner = self.inner.product(input);
        add_bias_and_activate(values_mut(&mut inner), self.inner.bias(), self.slope);
        (self.outer.product(&inner), inner)
    }

    /// Returns the gradient of the input, and those of the layers.
    pub(super) fn backward(
        &self,
        input: &CpuTensor,
        activated: &CpuTensor,
        gradient: &CpuTensor,
    ) -> (CpuTensor, [DenseGradient; 2]) {
        let outer = self.outer.gradient(activated, gradient);
        let mut inside = self.outer.input_gradient(gradient);
        activate_backward(values_mut(&mut inside), values(activated), self.slope);
        let inner = self.inner.gradient(input, &inside);
        (self.inner.input_gradient(&inside), [inner, outer])
    }
}
