//! Accuracy on fixed episodes: the same ones for every model and method that is asked.

use burn::tensor::Tensor;
use ht_cnn::Activations;
use ht_episodes::{EpisodeBatch, EpisodeList, EpisodePlan, ImageSet, QuerySet, collate};

use crate::accuracy::rounded;
use crate::checkpoint::parameters_digest;
use crate::parallel::map_in_order;
use crate::{
    Compute, EpisodeRecords, ExperimentConfig, Learner, Measured, TrainError, n_correct,
    pixel_nearest_neighbour,
};

/// Episodes per forward pass; each episode's result is its own, whatever this number.
const EPISODES_PER_PASS: usize = 8;

/// The episodes of a test, drawn or from a list.
#[derive(Clone, Debug)]
pub struct FixedEpisodes<'a> {
    /// The images that they point into.
    pub images: &'a ImageSet,
    /// The episodes.
    pub list: EpisodeList,
}

impl FixedEpisodes<'_> {
    /// Accuracy of pixel nearest neighbour on each episode, in [0, 1].
    pub fn pixel_nearest_neighbour(&self) -> Vec<f64> {
        let plans = self.list.plans().iter();
        plans
            .map(|plan| pixel_nearest_neighbour(self.images, plan))
            .collect()
    }
}

/// Tests a method on fixed episodes.
///
/// `model` must be on the device of `compute`, without autodiff.
pub fn measure(
    model: &Learner,
    config: &ExperimentConfig,
    episodes: &FixedEpisodes<'_>,
    compute: &Compute,
) -> Result<EpisodeRecords, TrainError> {
    Ok(EpisodeRecords {
        measured: Measured {
            method: config.method()?.name().to_owned(),
            norm_statistics: model.spec().norm_statistics,
            split: episodes.list.split().to_owned(),
            data_sha256: episodes.images.digest(),
            episodes_sha256: episodes.list.digest(),
            parameters_sha256: parameters_digest(model),
        },
        accuracies: evaluate(model, episodes, compute),
    })
}

/// Accuracy of a method on each episode, in [0, 1].
///
/// `model` must be on the device of `compute`, without autodiff.
pub fn evaluate(model: &Learner, episodes: &FixedEpisodes<'_>, compute: &Compute) -> Vec<f64> {
    classify(model, episodes, compute, |plans, logits, query| {
        let correct = n_correct(logits, query.labels, query.hidden);
        let n_query = plans.iter().map(|plan| plan.query().count());
        let shares = correct.into_iter().zip(n_query);
        shares
            .map(|(correct, n_query)| rounded(correct as f64 / n_query as f64))
            .collect()
    })
}

/// Classifies the query images of fixed episodes, a pass of several episodes at a time, on the
/// threads of `compute`; returns what `result` makes of the passes, one value per episode, in
/// order.
///
/// # Shapes
/// - `result` is given logits `[E, Q, N]` and the query set that they are of
pub(crate) fn classify<R: Send>(
    model: &Learner,
    episodes: &FixedEpisodes<'_>,
    compute: &Compute,
    result: impl Fn(&[EpisodePlan], Tensor<3>, QuerySet) -> Vec<R> + Sync,
) -> Vec<R> {
    let plans = episodes.list.plans();
    let jobs = plans
        .chunks(EPISODES_PER_PASS)
        .map(|plans| (model.clone(), plans))
        .collect();
    let passes = map_in_order(jobs, compute.n_threads, |(model, plans)| {
        let batch = collate(episodes.images, plans).to_device(&compute.device);
        let EpisodeBatch { support, query, .. } = batch;
        let images = Activations::from_images(query.images.clone()).hide(query.hidden.clone());
        result(plans, model.adapt(&support).classify(images), query)
    });
    passes.into_iter().flatten().collect()
}
