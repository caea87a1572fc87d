//! Gradient descent on a logits layer alone.
//!
//! Its gradient has a closed form, `(softmax(W f + b) - y) f` averaged over the samples, in
//! ordinary tensor operations: so the fit itself can be differentiated, to any order.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use ht_cnn::{LogitsWeights, logits};

use crate::InnerSteps;
use crate::targets::Targets;

/// Makes gradient steps on the mean cross-entropy of the support samples of each episode, from
/// `start`; each takes `rate * decay` of the kernel away first.
///
/// # Shapes
/// - `features`: `[E, S, P]`
pub(crate) fn fit(
    start: LogitsWeights,
    features: &Tensor<3>,
    targets: &Targets,
    InnerSteps { steps, rate }: InnerSteps,
    decay: f64,
) -> LogitsWeights {
    let shares = targets.shares();
    (0..steps).fold(start, |weights, _| {
        let scores = targets.without_absent(logits(features.clone(), &weights));
        let error = (softmax(scores, 2) - targets.one_hot.clone()) * shares.clone();
        let of_kernel = error.clone().swap_dims(1, 2).matmul(features.clone());
        let of_bias = error.sum_dim(1).squeeze_dim::<2>(1);
        LogitsWeights {
            kernel: weights.kernel * (1.0 - rate * decay) - of_kernel * rate,
            bias: weights.bias - of_bias * rate,
        }
    })
}
