//! Knowing what it does not know: how sure a CNN may be of an answer, and when it should give none.
//!
//! A [`Temperature`] and, for each number of classes, the most doubt at which an answer is accepted are
//! fitted on validation episodes: the doubt at which a given share of images of other classes is
//! taken for one of the episode's; classes of the test say whether it holds. Both are known only as
//! well as there are classes: [`ClusteredRate`].

use serde::{Deserialize, Serialize};

use crate::clustered::{ClusteredRate, Item};
use crate::predictions::best_label;
use crate::temperature::surprise;
use crate::{Accuracy, EpisodeLogits, Reliability, Temperature};

/// The most doubt that is accepted in episodes of one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Classes of the episode.
    pub classes: usize,
    /// What all labels but the best have together, in [0, 1]: exact where the best label's probability
    /// is too near to 1.
    pub most_doubt: f64,
}

/// What makes probabilities of logits, and answers of probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Logits are divided by it.
    pub temperature: Temperature,
    /// Share of images of other classes that is accepted at the thresholds.
    pub false_accept_rate: f64,
    /// How well the images of other classes that it was fitted on say what that share is; none
    /// where there were none.
    #[serde(default)]
    pub fitted_on: Option<ClusteredRate>,
    /// In order of the classes; empty where no other classes were there to fit them on.
    pub thresholds: Vec<Threshold>,
    /// Episodes that it was fitted on.
    pub episodes: usize,
}

/// A calibration on episodes that it was not fitted on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationReport {
    /// Expected calibration error of the logits as they are, in percent, over 15 bins.
    pub ece_before: f64,
    /// The same at the temperature.
    pub ece_after: f64,
    /// Percent of images of other classes that are accepted, if there were any.
    pub false_accepts: Option<ClusteredRate>,
    /// Percent of query images that are accepted.
    pub accepts: Accuracy,
    /// Percent of query images that are accepted and right.
    pub right_accepts: Accuracy,
}

impl Calibration {
    /// Fits temperature and thresholds.
    ///
    /// `false_accept_rate` is in (0, 1).
    pub fn fit(episodes: &[EpisodeLogits], false_accept_rate: f64) -> Self {
        let temperature = Temperature::fit(episodes);
        let mut sizes: Vec<usize> = episodes.iter().map(|episode| episode.classes).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let thresholds = sizes.into_iter().filter_map(|classes| {
            let of_size = (episodes.iter()).filter(|episode| episode.classes == classes);
            let doubts_of = |episode: &EpisodeLogits| -> Vec<f64> {
                let temperature = temperature.at(episode.images_per_class);
                let unknown = episode.unknown.iter();
                unknown
                    .map(|(logits, _)| doubt(logits, temperature))
                    .collect()
            };
            let mut doubts: Vec<f64> = of_size.flat_map(doubts_of).collect();
            doubts.sort_unstable_by(f64::total_cmp);
            // So many may pass; the first that may not is above the threshold.
            let n_passing = (doubts.len() as f64 * false_accept_rate).round() as usize;
            let first_refused = *doubts.get(n_passing)?;
            Some(Threshold {
                classes,
                most_doubt: first_refused.next_down().max(0.0),
            })
        });
        let fitted = Self {
            temperature,
            false_accept_rate,
            fitted_on: None,
            thresholds: thresholds.collect(),
            episodes: episodes.len(),
        };
        Self {
            fitted_on: fitted.false_accepts(episodes),
            ..fitted
        }
    }

    fn is_accepted(&self, episode: &EpisodeLogits, logits: &[f32]) -> bool {
        let most = self.most_doubt(episode.classes);
        let temperature = self.temperature.at(episode.images_per_class);
        most.is_none_or(|most| doubt(logits, temperature) <= most)
    }

    /// Images of other classes that are taken for one of the episode's.
    fn false_accepts(&self, episodes: &[EpisodeLogits]) -> Option<ClusteredRate> {
        let items = episodes.iter().enumerate().flat_map(|(at, episode)| {
            episode.unknown.iter().map(move |(logits, class)| Item {
                class: *class,
                episode: at,
                counts: self.is_accepted(episode, logits),
            })
        });
        ClusteredRate::of(&items.collect::<Vec<_>>())
    }

    /// The most accepted doubt in episodes with a number of classes, or with the nearest number that was seen.
    pub fn most_doubt(&self, classes: usize) -> Option<f64> {
        let nearest =
            (self.thresholds.iter()).min_by_key(|threshold| threshold.classes.abs_diff(classes));
        nearest.map(|threshold| threshold.most_doubt)
    }

    /// Measures it on other episodes.
    pub fn measure(&self, episodes: &[EpisodeLogits]) -> CalibrationReport {
        let reliability = |temperature: &dyn Fn(&EpisodeLogits) -> f64| {
            let answers = episodes.iter().flat_map(|episode| {
                let temperature = temperature(episode);
                episode.known.iter().map(move |(logits, label)| {
                    let (best, probability) = best_at(logits, temperature);
                    (probability, best == *label)
                })
            });
            100.0 * Reliability::of(answers, Reliability::BINS).ece()
        };
        let known = |counts: fn(bool) -> bool| {
            let of_episode = |episode: &EpisodeLogits| {
                share(&episode.known, |(logits, label)| {
                    self.is_accepted(episode, logits) && counts(best_label(logits) == *label)
                })
            };
            Accuracy::of(&episodes.iter().filter_map(of_episode).collect::<Vec<_>>())
        };
        CalibrationReport {
            ece_before: reliability(&|_| 1.0),
            ece_after: reliability(&|episode| self.temperature.at(episode.images_per_class)),
            false_accepts: self.false_accepts(episodes),
            accepts: known(|_| true),
            right_accepts: known(|is_right| is_right),
        }
    }
}

/// Share of items for which something holds; none where there is no item.
fn share<T>(items: &[T], holds: impl Fn(&T) -> bool) -> Option<f64> {
    let n_holding = items.iter().filter(|item| holds(item)).count();
    (!items.is_empty()).then(|| n_holding as f64 / items.len() as f64)
}

/// The label with the largest logit, and its probability at a temperature.
fn best_at(logits: &[f32], temperature: f64) -> (usize, f64) {
    let best = best_label(logits);
    (best, (-surprise(logits, best, temperature)).exp())
}

/// What all labels but the best have together at a temperature, to its own last digits.
fn doubt(logits: &[f32], temperature: f64) -> f64 {
    let best = best_label(logits);
    let odds = logits
        .iter()
        .enumerate()
        .filter(|&(label, _)| label != best);
    let odds =
        odds.map(|(_, &logit)| ((f64::from(logit) - f64::from(logits[best])) / temperature).exp());
    let odds: f64 = odds.sum();
    odds / (1.0 + odds)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    /// Episodes whose logits are `sharpness` times those of calibrated answers: the right label is
    /// drawn by the probabilities that the logits have at that temperature.
    fn episodes(n: usize, sharpness: f64, seed: u64) -> Vec<EpisodeLogits> {
        episodes_of(n, 1.0, sharpness, seed)
    }

    fn episodes_of(
        n: usize,
        images_per_class: f64,
        sharpness: f64,
        seed: u64,
    ) -> Vec<EpisodeLogits> {
        let mut rng = ht_episodes::stream(seed, "calibration", 0, 0);
        let classes = 4;
        let mut logits = |scale: f64| -> Vec<f64> {
            (0..classes)
                .map(|_| scale * rng.random_range(-1.0..1.0))
                .collect()
        };
        let scores: Vec<(Vec<f64>, Vec<f64>)> =
            (0..n * 10).map(|_| (logits(3.0), logits(1.0))).collect();
        let sharp = |scores: &[f64]| -> Vec<f32> {
            scores
                .iter()
                .map(|score| (score * sharpness) as f32)
                .collect()
        };
        let mut draw = |scores: &[f64]| {
            let powers: Vec<f64> = scores.iter().map(|score| score.exp()).collect();
            let mut rest = rng.random_range(0.0..powers.iter().sum::<f64>());
            let drawn = powers.iter().position(|power| {
                rest -= power;
                rest < 0.0
            });
            drawn.unwrap_or(0)
        };
        (scores.chunks(10))
            .map(|scores| EpisodeLogits {
                classes,
                images_per_class,
                known: (scores.iter())
                    .map(|(known, _)| (sharp(known), draw(known)))
                    .collect(),
                unknown: (scores.iter().enumerate())
                    .map(|(at, (_, unknown))| (sharp(unknown), at))
                    .collect(),
            })
            .collect()
    }

    #[test]
    fn the_temperature_undoes_what_made_logits_too_sharp() {
        for sharpness in [0.4, 1.0, 3.0] {
            let found = Calibration::fit(&episodes(2000, sharpness, 1), 0.05);
            let apart = (found.temperature.at(1.0) / sharpness - 1.0).abs();
            assert!(apart < 0.05, "{sharpness}: {:?}", found.temperature);
            let report = found.measure(&episodes(2000, sharpness, 2));
            assert!(report.ece_after < 1.5, "{report:?}");
            let was_wrong = (sharpness - 1.0).abs() > 0.5;
            assert_eq!(report.ece_before > 5.0, was_wrong, "{report:?}");
        }
    }

    #[test]
    fn the_temperature_follows_the_images_of_each_class() {
        let sizes = [(1.0, 3.0), (2.5, 1.9), (5.0, 1.34)];
        let of_all = |seed: u64| -> Vec<EpisodeLogits> {
            let of_size = |(images, sharpness)| episodes_of(1500, images, sharpness, seed);
            sizes.into_iter().flat_map(of_size).collect()
        };
        let found = Calibration::fit(&of_all(1), 0.05);
        let [fewest, most] = found.temperature.images;
        assert!((fewest - 1.0).abs() < 1e-9 && (most - 5.0).abs() < 1e-9);
        for (images, sharpness) in sizes {
            let apart = (found.temperature.at(images) / sharpness - 1.0).abs();
            assert!(apart < 0.06, "{images}: {:?}", found.temperature);
            let report = found.measure(&episodes_of(1500, images, sharpness, 2));
            assert!(report.ece_after < 1.5, "{report:?}");
        }
    }

    #[test]
    fn as_many_strangers_pass_as_were_allowed() {
        let found = Calibration::fit(&episodes(3000, 2.0, 3), 0.1);
        let report = found.measure(&episodes(3000, 2.0, 4));
        let false_accepts = report.false_accepts.expect("strangers");
        let fitted_on = found.fitted_on.expect("strangers");
        let allowed = 1.5 * false_accepts.ci95_of_difference(&fitted_on);
        let apart = (false_accepts.mean - fitted_on.mean).abs();
        assert!(apart < allowed && allowed < 2.0, "{report:?}");
        // Query images are told from strangers: far more of them pass.
        assert!(report.accepts.mean > 30.0, "{report:?}");
        assert!(report.right_accepts.mean <= report.accepts.mean);
        let own = found.measure(&episodes(3000, 2.0, 3));
        let exact = own.false_accepts.expect("strangers").mean;
        assert!((exact - 10.0).abs() < 1e-6, "{exact}");
    }

    #[test]
    fn without_strangers_everything_is_accepted() {
        let mut known = episodes(50, 1.0, 5);
        for episode in &mut known {
            episode.unknown.clear();
        }
        let found = Calibration::fit(&known, 0.05);
        assert_eq!(found.thresholds, []);
        let report = found.measure(&known);
        assert_eq!(report.false_accepts, None);
        assert!((report.accepts.mean - 100.0).abs() < 1e-9);
    }

    #[test]
    fn the_nearest_size_decides() {
        let threshold = |classes, most_doubt| Threshold {
            classes,
            most_doubt,
        };
        let calibration = Calibration {
            temperature: Temperature {
                at_one_image: 1.0,
                power: 0.0,
                images: [1.0, 1.0],
            },
            false_accept_rate: 0.05,
            fitted_on: None,
            thresholds: vec![threshold(2, 0.1), threshold(5, 0.3)],
            episodes: 1,
        };
        assert_eq!(calibration.most_doubt(2), Some(0.1));
        assert_eq!(calibration.most_doubt(4), Some(0.3));
        assert_eq!(calibration.most_doubt(20), Some(0.3));
    }

    #[test]
    fn absent_labels_have_no_share() {
        let (best, probability) = best_at(&[0.0, 1.0, -1e9], 2.0);
        assert_eq!(best, 1);
        assert!((probability - 1.0 / (1.0 + (-0.5f64).exp())).abs() < 1e-12);
        assert!((doubt(&[0.0, 1.0, -1e9], 2.0) - (1.0 - probability)).abs() < 1e-12);
    }

    #[test]
    fn doubt_is_exact_where_a_probability_is_1() {
        let logits = [0.0, 50.0];
        assert!((1.0 - best_at(&logits, 1.0).1).abs() < f64::EPSILON);
        assert!((doubt(&logits, 1.0) / (-50f64).exp() - 1.0).abs() < 1e-12);
    }
}
