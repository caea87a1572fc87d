//! A rate with an interval that knows what its images have in common.
//!
//! An image of a class of test is one of twenty, and it is shown to many episodes: a rate over
//! such images is no better known than the classes and the episodes are many. The variance is the one
//! for two-way clusters (Cameron, Gelbach & Miller, *Robust Inference With Multiway Clustering*,
//! JBES 2011): that over classes and that over episodes, less that over the pairs, which both count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::accuracy::rounded;

/// One image of which something is true or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// The class of the image.
    pub(crate) class: usize,
    /// The episode that it was shown to.
    pub(crate) episode: usize,
    /// Whether it is counted.
    pub(crate) counts: bool,
}

/// A rate over images, with its 95 % interval over classes and episodes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusteredRate {
    /// In percent.
    pub mean: f64,
    /// Half width of the interval, in percentage points.
    pub ci95: f64,
    /// Images.
    pub images: usize,
    /// Different classes of the images.
    pub classes: usize,
    /// Episodes that they were shown to.
    pub episodes: usize,
}

impl ClusteredRate {
    /// The rate of the items that count; none without items.
    pub(crate) fn of(items: &[Item]) -> Option<Self> {
        let n = items.len() as f64;
        let mean = items.iter().filter(|item| item.counts).count() as f64 / n;
        let (by_class, classes) = variance(items, mean, |item| (item.class, 0));
        let (by_episode, episodes) = variance(items, mean, |item| (0, item.episode));
        let (by_pair, _) = variance(items, mean, |item| (item.class, item.episode));
        // The difference of estimates can fall below what either says alone.
        let variance = (by_class + by_episode - by_pair)
            .max(by_class)
            .max(by_episode);
        (!items.is_empty()).then(|| Self {
            mean: rounded(100.0 * mean),
            ci95: rounded(100.0 * 1.96 * variance.sqrt()),
            images: items.len(),
            classes,
            episodes,
        })
    }

    /// Half width of the interval of the difference to a rate over other images.
    pub fn ci95_of_difference(&self, other: &Self) -> f64 {
        self.ci95.hypot(other.ci95)
    }
}

/// The variance of a mean over clusters, and their number. The means of few clusters vary more than
/// their residuals show: n / (n - 1).
fn variance(items: &[Item], mean: f64, cluster: fn(&Item) -> (usize, usize)) -> (f64, usize) {
    let mut residuals: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for item in items {
        let value = f64::from(u8::from(item.counts));
        *residuals.entry(cluster(item)).or_default() += value - mean;
    }
    let squares: f64 = residuals.values().map(|sum| sum.powi(2)).sum();
    let n = residuals.len() as f64;
    let of_few = n / (n - 1.0).max(1.0);
    (
        of_few * squares / (items.len() as f64).powi(2),
        residuals.len(),
    )
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn images_without_anything_in_common_are_as_good_as_episodes() {
        let item = |at: usize| Item {
            class: at,
            episode: at,
            counts: at < 20,
        };
        let items: Vec<Item> = (0..100).map(item).collect();
        let rate = ClusteredRate::of(&items).expect("items");
        assert!((rate.mean - 20.0).abs() < 1e-9);
        // s = 0.402 with n - 1, n = 100.
        let expected = 100.0 * 1.96 * (0.2 * 0.8 / 99.0f64).sqrt();
        assert!((rate.ci95 - expected).abs() < 1e-9, "{rate:?}");
        assert_eq!(ClusteredRate::of(&[]), None);
    }

    /// Classes of which one is accepted often and another never: the interval of single images
    /// would hold the truth in half of the cases.
    #[test]
    fn the_interval_covers_the_truth_though_images_share_classes() {
        let mut rng = ht_episodes::stream(0, "clustered", 0, 0);
        let covered = (0..400)
            .filter(|_| {
                let rates: Vec<f64> = (0..60).map(|_| rng.random_range(0.0..0.2)).collect();
                let items: Vec<Item> = (0..4000)
                    .map(|at| {
                        let class = rng.random_range(0..rates.len());
                        Item {
                            class,
                            episode: at / 10,
                            counts: rng.random_bool(rates[class]),
                        }
                    })
                    .collect();
                let rate = ClusteredRate::of(&items).expect("items");
                (rate.mean - 10.0).abs() <= rate.ci95
            })
            .count();
        assert!((360..=394).contains(&covered), "{covered} of 400");
    }
}
