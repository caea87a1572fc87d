//! What an episode's own convolutions are worth: the generator against itself with the same
//! convolutions for all episodes.

use burn::tensor::Device;
use ht_episodes::{Split, collate};
use ht_train::{Accuracy, Experiment, Learner, Prediction};
use serde_json::{Value, json};

use super::super::page::{Block, Section};
use super::super::weights::EPISODES_PER_PASS;
use super::Findings;

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
    generator
        .layers()
        .iter()
        .find_map(|layer| layer.generator())?;
    let images = experiment.evaluation_sampler.images();
    let fixed = experiment.fixed_episodes(Split::Train, n_episodes);
    let passes = fixed.list.plans().chunks(EPISODES_PER_PASS);
    let supports = passes.map(|plans| collate(images, plans).to_device(device).support);
    let mean = generator.with_mean_convolutions(supports)?;
    Some(Learner::Generator(mean))
}

/// The share of right answers in each episode.
fn accuracies(predictions: &[Vec<Prediction>]) -> Vec<f64> {
    let of_episode = |predictions: &Vec<Prediction>| {
        let n_right = predictions.iter().filter(|one| one.is_correct()).count();
        n_right as f64 / predictions.len() as f64
    };
    predictions.iter().map(of_episode).collect()
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
    let [own, by_mean] = [own, by_mean].map(accuracies);
    let differences: Vec<f64> = own.iter().zip(&by_mean).map(|(a, b)| a - b).collect();
    let [own, by_mean, difference] =
        [own, by_mean, differences].map(|accuracies| Accuracy::of(&accuracies));
    let words = format!(
        "The same generator with the mean of its convolutions over {n_averaged} training episodes \
         (augmented where the experiment says so) in the place of each episode's own. The logits layer is generated as ever, from what \
         those convolutions show. The difference is paired by episode, and no other training or \
         seed is in it; a generator that was trained with shared convolutions could do better."
    );
    let row = |what: &str, accuracy: Accuracy| {
        let points = format!("{:.2} ± {:.2}", accuracy.mean, accuracy.ci95);
        [what.to_owned(), points]
    };
    let rows = vec![
        row("each episode its own, accuracy in percent", own),
        row("the mean for all", by_mean),
        row("difference in points", difference),
    ];
    let head = ["convolutions", &format!("{} episodes", own.episodes)];
    let blocks = vec![Block::text(words), Block::table(head, rows)];
    let value = json!({
        "own": own.mean,
        "mean": by_mean.mean,
        "difference": difference.mean,
        "difference_ci95": difference.ci95,
        "episodes": difference.episodes,
        "averaged": n_averaged,
    });
    findings.add(Section::new(title, blocks), key, value);
}
