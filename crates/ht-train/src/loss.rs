//! The loss of the method: cross-entropy of the query logits, and nothing else.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, assert_shape};

/// Mean cross-entropy over all query images of all episodes.
///
/// # Shapes
/// - `logits`: `[E, Q, N]`; `labels`: `[E, Q]`
/// - returns: `[1]`
pub fn query_loss(logits: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<1> {
    let [e, q, n] = logits.dims();
    assert_shape!(labels, [e, q]);
    let log_probabilities = log_softmax(logits.reshape([e * q, n]), 1);
    log_probabilities
        .gather(1, labels.reshape([e * q, 1]))
        .mean()
        .neg()
}

/// Query images of each episode whose largest logit is their label's.
///
/// # Shapes
/// - `logits`: `[E, Q, N]`; `labels`: `[E, Q]`
/// - returns: E counts
pub fn n_correct(logits: Tensor<3>, labels: Tensor<2, Int>) -> Vec<usize> {
    let [e, q, _] = logits.dims();
    let predicted = logits.argmax(2).reshape([e, q]);
    let counts = predicted.equal(labels).int().sum_dim(1);
    counts
        .into_data()
        .iter::<i64>()
        .map(|n| n as usize)
        .collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn cross_entropy_by_hand() {
        let device = Device::flex();
        let logits = Tensor::<3>::from_data(
            [[[0.0f32, 0.0], [2.0, 0.0]], [[0.0, 1.0], [5.0, 5.0]]],
            &device,
        );
        let labels = Tensor::<2, Int>::from_data([[0, 0], [1, 1]], &device);
        let ln = |x: f32| (1.0 + x.exp()).ln();
        let expected = (ln(0.0) + ln(-2.0) + ln(-1.0) + ln(0.0)) / 4.0;
        let loss: f32 = query_loss(logits, labels).into_scalar();
        assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
    }

    #[test]
    fn correct_images_are_counted_per_episode() {
        let device = Device::flex();
        let logits = Tensor::<3>::from_data(
            [[[1.0f32, 0.0], [2.0, 0.0]], [[0.0, 1.0], [5.0, 4.0]]],
            &device,
        );
        let labels = Tensor::<2, Int>::from_data([[0, 0], [1, 1]], &device);
        assert_eq!(n_correct(logits, labels), [2, 1]);
    }
}
