//! What an episode's own convolutions are worth: the generator against itself with the same
//! convolutions for all episodes.

use burn::tensor::Device;
use ht_episodes::{Split, collate};
use ht_train::{Experiment, Learner, Prediction};
use serde_json::{Value, json};

use super::super::page::{Block, Section};
use super::super::weights::EPISODES_PER_PASS;
use super::Findings;
use super::paired::Paired;

/// The generator with the mean of its convolutions over training episodes, if it generates any.
pub(in super::super) fn mean_generator(
    learner: &Learner,
    experiment: &Experiment,
    n_episodes: u64,
    device: &Device,
) -> Option<Learner> {
    let Learner::Generator(generator) = learner else {
        return None;
    };
    let images = experiment.evaluation_sampler.images();
    let fixed = experiment.fixed_episodes(Split::Train, n_episodes);
    let passes = fixed.list.plans().chunks(EPISODES_PER_PASS);
    let supports = passes.map(|plans| collate(images, plans).to_device(device).support);
    let mean = generator.with_mean_convolutions(supports)?;
    Some(Learner::Generator(mean))
}

/// Adds the comparison, with the mean of `n_averaged` episodes.
pub(in super::super) fn add(
    findings: &mut Findings,
    n_averaged: u64,
    own: &[Vec<Prediction>],
    by_mean: Option<&[Vec<Prediction>]>,
) {
    let title = "What an episode's own convolutions are worth";
    let key = "own_convolutions";
    let Some(by_mean) = by_mean else {
        let words = "No convolution is generated: all episodes have the same ones.";
        let section = Section::new(title, vec![Block::text(words)]);
        return findings.add(section, key, Value::Null);
    };
    let words = format!(
        "The same generator with the mean of its convolutions over {n_averaged} training episodes \
         (augmented where the experiment says so) in the place of each episode's own. The logits \
         layer is generated as ever, from what those convolutions show. The difference is paired \
         by episode, and no other training or seed is in it; a generator that was trained with \
         shared convolutions could do better."
    );
    let paired = Paired::of(own, by_mean);
    let table = paired.table("convolutions", "each episode its own", "the mean for all");
    let blocks = vec![Block::text(words), table];
    let value = paired.json("mean", ("averaged", json!(n_averaged)));
    findings.add(Section::new(title, blocks), key, value);
}
