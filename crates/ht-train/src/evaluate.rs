//! Accuracy on fixed episodes: the same ones for every model and method that is asked.

use ht_cnn::Activations;
use ht_episodes::{EpisodeBatch, EpisodePlan, EpisodeSampler, Split, collate};
use ht_generator::WeightGenerator;

use crate::parallel::map_in_order;
use crate::{Compute, n_correct, pixel_nearest_neighbour};

/// Episodes per forward pass; each episode's result is its own, whatever this number.
const EPISODES_PER_PASS: u64 = 8;

/// The first episodes of a split under a seed.
#[derive(Clone, Copy, Debug)]
pub struct FixedEpisodes<'a> {
    /// Draws them.
    pub sampler: &'a EpisodeSampler,
    /// Seed of the evaluation, apart from that of the training.
    pub seed: u64,
    /// Their classes.
    pub split: Split,
    /// Their number.
    pub n_episodes: u64,
}

impl FixedEpisodes<'_> {
    fn plan(&self, index: u64) -> EpisodePlan {
        self.sampler.plan(self.seed, self.split, index)
    }

    /// Accuracy of pixel nearest neighbour on each episode, in [0, 1].
    pub fn pixel_nearest_neighbour(&self) -> Vec<f64> {
        (0..self.n_episodes)
            .map(|index| pixel_nearest_neighbour(self.sampler.images(), &self.plan(index)))
            .collect()
    }
}

/// Accuracy of a generator on each episode, in [0, 1].
///
/// `model` must be on the device of `compute`, without autodiff.
pub fn evaluate(
    model: &WeightGenerator,
    episodes: &FixedEpisodes<'_>,
    compute: &Compute,
) -> Vec<f64> {
    let n_episodes = episodes.n_episodes;
    let jobs = (0..n_episodes)
        .step_by(EPISODES_PER_PASS as usize)
        .map(|first| {
            let last = (first + EPISODES_PER_PASS).min(n_episodes);
            (model.clone(), first..last)
        })
        .collect();
    let passes = map_in_order(jobs, compute.n_threads, |(model, indices)| {
        let plans: Vec<_> = indices.map(|index| episodes.plan(index)).collect();
        let batch = collate(episodes.sampler.images(), &plans).to_device(&compute.device);
        let EpisodeBatch { support, query, .. } = batch;
        let images = Activations::from_images(query.images).hide(query.hidden.clone());
        let logits = model.generate(&support).classify(images);
        let correct = n_correct(logits, query.labels, query.hidden);
        let n_query = plans.iter().map(|plan| plan.query().count());
        let shares = correct.into_iter().zip(n_query);
        shares
            .map(|(correct, n_query)| correct as f64 / n_query as f64)
            .collect::<Vec<f64>>()
    });
    passes.into_iter().flatten().collect()
}
