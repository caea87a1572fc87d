//! The construction does what section 4.2 and appendix A say.

use burn::tensor::{TensorData, Tolerance};
use ht_episodes::stream;
use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::ParameterInit;

const WAYS: usize = 5;

fn construction(features: usize) -> Construction {
    Construction {
        ways: WAYS,
        features,
        similarity_sharpness: 60.0,
        label_sharpness: 60.0,
    }
}

fn labels(of_each: &[i32], episodes: usize) -> Tensor<2, Int> {
    let data = TensorData::new(of_each.repeat(episodes), [episodes, of_each.len()]);
    Tensor::from_data(data, &Device::flex())
}

fn normal<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    ParameterInit::new(seed, 0, &Device::flex())
        .normal(shape)
        .val()
}

fn centred(embeddings: Tensor<3>) -> Tensor<3> {
    embeddings.clone() - embeddings.mean_dim(1)
}

/// Means by class, without attention.
fn class_means(labels: Tensor<2, Int>, embeddings: Tensor<3>) -> Tensor<3> {
    let members = labels.one_hot::<3>(WAYS + 1).float().narrow(2, 0, WAYS);
    let counts = members.clone().sum_dim(1).transpose();
    members.transpose().matmul(embeddings) / counts
}

fn assert_close<const D: usize>(ours: Tensor<D>, theirs: Tensor<D>) {
    ours.into_data()
        .assert_approx_eq::<f32>(&theirs.into_data(), Tolerance::absolute(1e-5));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn one_layer_gives_class_means(
        seed: u64, features in 1..20usize,
        more in prop::collection::vec(0..WAYS as i32, 0..12),
    ) {
        // Each class at least once, then any: shots need not be balanced.
        let all = [(0..WAYS as i32).collect(), more].concat();
        let labels = labels(&all, 2);
        let embeddings = normal(seed, [2, all.len(), features]);
        let rows = construction(features).supervised(labels.clone(), embeddings.clone());
        assert_close(rows, class_means(labels, embeddings));
    }

    #[test]
    fn one_layer_is_a_gradient_step_of_a_linear_head(
        seed: u64, features in 1..20usize, shots in 1..6usize, eta in 0.1..2.0f64,
    ) {
        let all = (0..WAYS as i32).collect::<Vec<_>>().repeat(shots);
        let labels = labels(&all, 2);
        let embeddings = centred(normal(seed, [2, all.len(), features]));
        let step = gradient_step(labels.clone(), embeddings.clone(), WAYS, eta);
        // eta / S times the sum over a class is eta / N times its mean.
        let rows = construction(features).supervised(labels, embeddings);
        assert_close(rows * (eta / WAYS as f64), step);
    }

    #[test]
    fn off_centre_the_step_keeps_the_mean_of_all(seed: u64, offset in 0.5..3.0f64) {
        let all = (0..WAYS as i32).collect::<Vec<_>>().repeat(2);
        let labels = labels(&all, 1);
        let embeddings = normal(seed, [1, all.len(), 7]) + offset;
        let step = gradient_step(labels.clone(), embeddings.clone(), WAYS, 1.0);
        let rows = construction(7).supervised(labels, embeddings.clone());
        assert_close((rows - embeddings.mean_dim(1)) / WAYS as f64, step);
    }
}

/// Well-separated Gaussian classes: 3 labelled samples of each, then 20 unlabelled ones.
struct Separated {
    shown: Tensor<2, Int>,
    truth: Tensor<2, Int>,
    embeddings: Tensor<3>,
}

const LABELLED: usize = 3 * WAYS;
const UNLABELLED: usize = 20;
const FEATURES: usize = 16;

fn separated() -> Separated {
    let mut rng = stream(3, "unlabelled classes", 0, 0);
    let drawn = (0..UNLABELLED).map(|_| rng.random_range(0..WAYS as i32));
    let labelled = (0..WAYS as i32).collect::<Vec<_>>().repeat(3);
    let truth: Vec<i32> = labelled.iter().copied().chain(drawn).collect();
    let shown = [labelled, vec![WAYS as i32; UNLABELLED]].concat();
    let truth = labels(&truth, 1);
    // Orthogonal centres of length 4 and noise of about 0.8.
    let centres = Tensor::<2>::eye(FEATURES, &Device::flex()) * 4.0;
    let centres = centres.select(0, truth.clone().reshape([LABELLED + UNLABELLED]));
    let noise = normal(5, [1, LABELLED + UNLABELLED, FEATURES]) * 0.2;
    Separated {
        shown: labels(&shown, 1),
        truth,
        embeddings: unit_length(centres.unsqueeze::<3>() + noise),
    }
}

#[test]
fn two_layers_label_the_unlabelled_and_average_over_all() {
    let Separated {
        shown,
        truth,
        embeddings,
    } = separated();
    let SemiSupervised { labels, rows } =
        construction(FEATURES).semi_supervised(shown, embeddings.clone());
    let found = labels.argmax(2).squeeze_dim::<2>(2);
    found.into_data().assert_eq(&truth.to_data(), false);
    assert_close(rows, class_means(truth, embeddings));
}

#[test]
fn one_layer_does_not_see_the_unlabelled() {
    let Separated {
        shown,
        truth,
        embeddings,
    } = separated();
    let rows = construction(FEATURES).supervised(shown.clone(), embeddings.clone());
    assert_close(rows.clone(), class_means(shown, embeddings.clone()));
    let gap: f32 = (rows - class_means(truth, embeddings))
        .abs()
        .max()
        .into_scalar();
    assert!(gap > 0.01, "{gap}");
}

#[test]
fn the_first_layer_changes_the_labels_of_unlabelled_samples_only() {
    let Separated {
        shown, embeddings, ..
    } = separated();
    let construction = construction(FEATURES);
    let before = construction.tokens(shown, embeddings);
    let after = residual(
        &construction.labelling_layer(&Device::flex()),
        before.clone(),
    );
    let n_known = WAYS + LABELLED;
    let known = |tokens: &Tensor<3>| tokens.clone().narrow(1, 0, n_known);
    assert_close(known(&after), known(&before));
    let unlabelled = |tokens: &Tensor<3>| tokens.clone().narrow(1, n_known, UNLABELLED);
    let no_label = unlabelled(&after).narrow(2, WAYS, 1);
    assert_close(no_label.clone(), no_label.zeros_like());
    let embedding = |tokens: &Tensor<3>| unlabelled(tokens).narrow(2, 2 * WAYS + 1, FEATURES);
    assert_close(embedding(&after), embedding(&before));
}
