//! A generator against itself with a part of it put out of action, on the same episodes.

use ht_train::{Accuracy, Prediction};
use serde_json::{Value, json};

use super::super::page::Block;

/// The share of right answers in each episode.
fn accuracies(predictions: &[Vec<Prediction>]) -> Vec<f64> {
    let of_episode = |predictions: &Vec<Prediction>| {
        let n_right = predictions.iter().filter(|one| one.is_correct()).count();
        n_right as f64 / predictions.len() as f64
    };
    predictions.iter().map(of_episode).collect()
}

/// Two accuracies on the same episodes, and how much the first is ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paired {
    whole: Accuracy,
    without: Accuracy,
    difference: Accuracy,
}

impl Paired {
    /// What a generator answers, and what it answers without the part.
    pub(super) fn of(whole: &[Vec<Prediction>], without: &[Vec<Prediction>]) -> Self {
        let [whole, without] = [whole, without].map(accuracies);
        let differences: Vec<f64> = whole.iter().zip(&without).map(|(a, b)| a - b).collect();
        Self {
            whole: Accuracy::of(&whole),
            without: Accuracy::of(&without),
            difference: Accuracy::of(&differences),
        }
    }

    /// A line for each of the two, called so, and one for the difference.
    pub(super) fn table(self, part: &str, whole: &str, without: &str) -> Block {
        let row = |what: &str, accuracy: Accuracy| {
            let points = format!("{:.2} ± {:.2}", accuracy.mean, accuracy.ci95);
            [what.to_owned(), points]
        };
        let rows = vec![
            row(&format!("{whole}, accuracy in percent"), self.whole),
            row(without, self.without),
            row("difference in points", self.difference),
        ];
        Block::table([part, &format!("{} episodes", self.whole.episodes)], rows)
    }

    /// The same for programs, with one figure that belongs to it.
    pub(super) fn json(self, without: &str, (key, figure): (&str, Value)) -> Value {
        json!({
            "own": self.whole.mean,
            without: self.without.mean,
            "difference": self.difference.mean,
            "difference_ci95": self.difference.ci95,
            "episodes": self.difference.episodes,
            key: figure,
        })
    }
}
