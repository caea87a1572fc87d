//! Knowing what it does not know: how sure a CNN may be of an answer, and when it should give none.
//!
//! A temperature (Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017) and, for each
//! number of classes, the most doubt at which an answer is accepted are fitted on validation episodes:
//! the doubt at which a given share of images of other classes is taken for one of the
//! episode's; classes of the test say whether it holds. Both are known only as well as there are
//! classes: [`ClusteredRate`].

use ht_episodes::{EpisodeList, EpisodePlan, PlannedClass};
use serde::{Deserialize, Serialize};

use crate::clustered::{ClusteredRate, Item};
use crate::predictions::{best_label, image_logits};
use crate::{Accuracy, Compute, FixedEpisodes, Learner, Reliability};

/// Episodes whose images may stand for images of other classes.
const NEIGHBOURS: usize = 8;
/// Temperatures that are searched.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];

/// The logits that a method gives to the images of one episode.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeLogits {
    /// Classes that the episode has; others of the N labels have no probability.
    pub classes: usize,
    /// Query images: N logits and the right label.
    pub known: Vec<(Vec<f32>, usize)>,
    /// Images of classes that the episode does not have: N logits and the class in the data set.
    pub unknown: Vec<(Vec<f32>, usize)>,
}

/// The logits of a method on fixed episodes.
///
/// Images of other classes are query images of the episodes that follow. Under query-batch
/// statistics they are normalised by themselves, apart from the query images.
///
/// `model` must be on the device of `compute`, without autodiff.
pub fn episode_logits(
    model: &Learner,
    episodes: &FixedEpisodes<'_>,
    compute: &Compute,
) -> Vec<EpisodeLogits> {
    let plans = episodes.list.plans();
    let strangers: Vec<EpisodePlan> = (0..plans.len()).map(|at| strangers(plans, at)).collect();
    // Where the episodes have all classes, there are no others.
    let has_images = |plan: &EpisodePlan| plan.query().next().is_some();
    let classes_of = |plan: &EpisodePlan| -> Vec<usize> { plan.query().map(|i| i.class).collect() };
    let asked = strangers.iter().filter(|plan| has_images(plan)).cloned();
    let asked = FixedEpisodes {
        images: episodes.images,
        list: EpisodeList::new(episodes.list.split(), asked.collect()),
    };
    let mut unknown = image_logits(model, &asked, compute).into_iter();
    let known = image_logits(model, episodes, compute);
    (plans.iter().zip(known).zip(&strangers))
        .map(|((plan, known), strangers)| {
            let unknown = has_images(strangers).then(|| unknown.next()).flatten();
            let known = known.into_iter();
            EpisodeLogits {
                classes: (0..plan.ways).filter(|&n| plan.has_label(n)).count(),
                known: known
                    .filter_map(|(label, logits)| Some((logits, label?)))
                    .collect(),
                unknown: (unknown.into_iter().flatten().zip(classes_of(strangers)))
                    .map(|((_, logits), class)| (logits, class))
                    .collect(),
            }
        })
        .collect()
}

/// An episode with the same support set, and as query images those of classes that it does not have,
/// at most as many as its own.
fn strangers(plans: &[EpisodePlan], at: usize) -> EpisodePlan {
    let plan = &plans[at];
    let mut room = plan.query().count();
    let mut classes: Vec<PlannedClass> = plan.classes.clone();
    for class in &mut classes {
        class.query.clear();
    }
    let following = plans.iter().cycle().skip(at + 1).take(NEIGHBOURS);
    for other in following.flat_map(|plan| &plan.classes) {
        if classes.iter().any(|class| class.class == other.class) {
            continue;
        }
        let query: Vec<usize> = other.query.iter().copied().take(room).collect();
        room -= query.len();
        classes.push(PlannedClass {
            label: None,
            support: Vec::new(),
            unlabelled: Vec::new(),
            query,
            ..other.clone()
        });
    }
    EpisodePlan {
        classes,
        query_changes: Vec::new(),
        ..plan.clone()
    }
}

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
    pub temperature: f64,
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
        let temperature = temperature(episodes);
        let mut sizes: Vec<usize> = episodes.iter().map(|episode| episode.classes).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let thresholds = sizes.into_iter().filter_map(|classes| {
            let of_size = (episodes.iter()).filter(|episode| episode.classes == classes);
            let unknown = of_size.flat_map(|episode| &episode.unknown);
            let mut doubts: Vec<f64> = unknown
                .map(|(logits, _)| doubt(logits, temperature))
                .collect();
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
        most.is_none_or(|most| doubt(logits, self.temperature) <= most)
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
        let reliability = |temperature: f64| {
            let known = episodes.iter().flat_map(|episode| &episode.known);
            let answers = known.map(|(logits, label)| {
                let (best, probability) = best_at(logits, temperature);
                (probability, best == *label)
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
            ece_before: reliability(1.0),
            ece_after: reliability(self.temperature),
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

/// Minus the logarithm of a label's probability at a temperature.
fn surprise(logits: &[f32], label: usize, temperature: f64) -> f64 {
    let own = f64::from(logits[label]);
    let largest = logits.iter().copied().fold(f32::MIN, f32::max);
    let largest = f64::from(largest);
    let powers = logits
        .iter()
        .map(|&logit| ((f64::from(logit) - largest) / temperature).exp());
    powers.sum::<f64>().ln() + (largest - own) / temperature
}

/// The temperature of the lowest mean surprise: golden-section search over its logarithm, of which
/// the mean is unimodal (it is convex in the inverse).
fn temperature(episodes: &[EpisodeLogits]) -> f64 {
    let mean_surprise = |log: f64| {
        let known = episodes.iter().flat_map(|episode| &episode.known);
        let (sum, n) = known.fold((0.0, 0.0), |(sum, n), (logits, label)| {
            (sum + surprise(logits, *label, log.exp()), n + 1.0)
        });
        sum / f64::max(n, 1.0)
    };
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let [mut low, mut high] = TEMPERATURES.map(f64::ln);
    for _ in 0..40 {
        let step = ratio * (high - low);
        if mean_surprise(high - step) < mean_surprise(low + step) {
            high = low + step;
        } else {
            low += (1.0 - ratio) * (high - low);
        }
    }
    f64::midpoint(low, high).exp()
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    /// Episodes whose logits are `sharpness` times those of calibrated answers: the right label is
    /// drawn by the probabilities that the logits have at that temperature.
    fn episodes(n: usize, sharpness: f64, seed: u64) -> Vec<EpisodeLogits> {
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
            let apart = (found.temperature / sharpness - 1.0).abs();
            assert!(apart < 0.05, "{sharpness}: {}", found.temperature);
            let report = found.measure(&episodes(2000, sharpness, 2));
            assert!(report.ece_after < 1.5, "{report:?}");
            let was_wrong = (sharpness - 1.0).abs() > 0.5;
            assert_eq!(report.ece_before > 5.0, was_wrong, "{report:?}");
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
            temperature: 1.0,
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
