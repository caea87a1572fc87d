//! The feed-forward part: a dense layer, an activation, a dense layer.

use super::products::{Accum, DenseGradient, DenseLayer};
use super::rows::{activate, activate_backward};

/// The layers, and the slope of the activation for values below zero (1 without activation).
#[derive(Clone, Debug)]
pub(super) struct FeedForward {
    pub(super) inner: DenseLayer,
    pub(super) outer: DenseLayer,
    pub(super) slope: f32,
}

impl FeedForward {
    /// Adds the result without the last bias to `out`; returns the activated values.
    ///
    /// # Shapes
    /// - `input`, `out`: `[E T, D]`; returns `[E T, inner]`
    pub(super) fn forward(&self, input: &[f32], out: &mut [f32]) -> Vec<f32> {
        let mut inner = self.inner.forward(input);
        activate(&mut inner, self.slope);
        self.outer.add_product(&inner, out);
        inner
    }

    /// Writes the gradient of the input into `out`, or adds it; returns those of the layers.
    pub(super) fn backward(
        &self,
        input: &[f32],
        activated: &[f32],
        gradient: &[f32],
        out: &mut [f32],
        how: Accum,
    ) -> [DenseGradient; 2] {
        let outer = self.outer.gradient(activated, gradient);
        let mut inside = vec![0.0; activated.len()];
        self.outer
            .input_gradient(gradient, &mut inside, Accum::Replace);
        activate_backward(&mut inside, activated, self.slope);
        self.inner.input_gradient(&inside, out, how);
        [self.inner.gradient(input, &inside), outer]
    }
}
