//! Accuracy on fixed episodes: the same ones for every model that is asked.

use ht_episodes::{EpisodeBatch, EpisodeSampler, Split, collate};
use ht_generator::WeightGenerator;

use crate::parallel::map_in_order;
use crate::{Accuracy, Compute, n_correct};

/// Episodes per forward pass; each episode's result is its own, whatever this number.
const EPISODES_PER_PASS: u64 = 8;

/// Mean accuracy with its interval on the first `n_episodes` episodes of a split.
pub fn evaluate(
    model: &WeightGenerator,
    sampler: &EpisodeSampler,
    seed: u64,
    split: Split,
    n_episodes: u64,
    compute: &Compute,
) -> Accuracy {
    Accuracy::of(&episode_accuracies(
        model, sampler, seed, split, n_episodes, compute,
    ))
}

/// Accuracy of each of the first `n_episodes` episodes of a split, in [0, 1].
///
/// `model` must be on the plain device of `compute`, without autodiff.
pub fn episode_accuracies(
    model: &WeightGenerator,
    sampler: &EpisodeSampler,
    seed: u64,
    split: Split,
    n_episodes: u64,
    compute: &Compute,
) -> Vec<f64> {
    let jobs = (0..n_episodes)
        .step_by(EPISODES_PER_PASS as usize)
        .map(|first| {
            let last = (first + EPISODES_PER_PASS).min(n_episodes);
            (model.clone(), first..last)
        })
        .collect();
    let n_query = sampler.spec().n_query() as f64;
    let passes = map_in_order(jobs, compute.n_threads, |(model, indices)| {
        let plans: Vec<_> = indices
            .map(|index| sampler.plan(seed, split, index))
            .collect();
        let batch = collate(sampler.images(), &plans).to_device(&compute.device);
        let EpisodeBatch { support, query } = batch;
        let logits = model.generate(&support).forward(query.images);
        n_correct(logits, query.labels)
    });
    passes
        .into_iter()
        .flatten()
        .map(|correct| correct as f64 / n_query)
        .collect()
}
