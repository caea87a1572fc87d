//! The size of an episode: how many classes, and how many images of each in which role.

use serde::{Deserialize, Serialize};

use crate::{EpisodeAugmentation, EpisodeError, ImageJitter, PhotoAugmentation};

/// An N-way K-shot episode with a number of query images per class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeSpec {
    /// N: classes per episode.
    pub ways: usize,
    /// K: labelled support images per class.
    pub shots: usize,
    /// Query images per class.
    pub queries: usize,
    /// Where the query images come from.
    #[serde(default)]
    pub query_pool: QueryPool,
    /// Whether every class has its K support images.
    #[serde(default)]
    pub balance: ClassBalance,
    /// Support images without a label.
    #[serde(default)]
    pub unlabelled: Unlabelled,
    /// The fixed division of each class into images that may be labelled and images that
    /// may not, or none.
    #[serde(default)]
    pub division: Option<Division>,
    /// Fewer ways and shots than N and K, drawn for each episode, or always N and K.
    #[serde(default)]
    pub irregular: Option<Irregular>,
    /// Random removal of support samples in training.
    #[serde(default)]
    pub removal: Removal,
    /// Operations on all images of a class, in training, or none.
    #[serde(default)]
    pub augmentation: Option<EpisodeAugmentation>,
    /// Photo augmentation, in training, or none.
    #[serde(default)]
    pub photo: Option<PhotoAugmentation>,
    /// Small changes of each image alone, in training, or none.
    #[serde(default)]
    pub jitter: Option<ImageJitter>,
}

/// Which images of a class the query set is drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueryPool {
    /// Those that the support set does not show.
    #[default]
    Disjoint,
    /// All of them, as in the released code: a query image can be a support image
    /// (docs/paper.md, deviation D4).
    WholeClass,
}

/// How the images of an episode are dealt to its support and its query set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassBalance {
    /// Class by class: K of each into the support set.
    #[default]
    Balanced,
    /// All together: as many of each class are drawn, then N K of all of them make the support
    /// set, so that a class can have more than K or none (the default of the released code's
    /// flags, which its scripts override).
    Unbalanced,
}

/// Unlabelled images in the support set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlabelled {
    /// M: unlabelled images of each class of the episode.
    pub per_class: usize,
    /// H: further classes of which M unlabelled images each are mixed in.
    #[serde(default)]
    pub distractors: usize,
}

/// A division of every class that is the same in all episodes: support and query images come
/// from one part, unlabelled ones from the other (Ren et al., 2018: 10 % labelled for
/// Omniglot and tieredImageNet, 40 % for miniImageNet).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Division {
    /// Share of each class's images that may be labelled, rounded up to whole images: at least one.
    pub labelled: f64,
    /// Seed of the division.
    pub seed: u64,
}

impl Division {
    /// Images of the labelled part of a class with `n_images` images.
    pub fn n_labelled(self, n_images: usize) -> usize {
        // Shares such as 0.07 are a little above or below themselves in binary: 100 times that is
        // 7.000000000000001, which is no eighth image.
        const ROUNDING: f64 = 1e-9;
        let n_labelled = (n_images as f64 * self.labelled - ROUNDING).ceil() as usize;
        n_labelled.max(1).min(n_images)
    }
}

/// Episodes of different sizes: ways are drawn per episode, shots per class, uniformly
/// between these and the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Irregular {
    /// Fewest ways.
    pub min_ways: usize,
    /// Most ways; none for N. With fewer, some labels are never used: a generator of N labels is
    /// tested on smaller episodes.
    #[serde(default)]
    pub max_ways: Option<usize>,
    /// Fewest shots of a class.
    pub min_shots: usize,
}

/// Random removal as in the released code: per episode a probability is drawn between 0 and
/// the given one, then each sample is removed with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// Largest probability for labelled samples.
    #[serde(default)]
    pub labelled: f64,
    /// Largest probability for unlabelled samples.
    #[serde(default)]
    pub unlabelled: f64,
}

impl EpisodeSpec {
    /// A regular, supervised episode.
    pub fn new(ways: usize, shots: usize, queries: usize) -> Self {
        Self {
            ways,
            shots,
            queries,
            query_pool: QueryPool::Disjoint,
            balance: ClassBalance::Balanced,
            unlabelled: Unlabelled::default(),
            division: None,
            irregular: None,
            removal: Removal::default(),
            augmentation: None,
            photo: None,
            jitter: None,
        }
    }

    /// S: the most support images an episode can have, labelled or not.
    pub fn n_support(&self) -> usize {
        let Unlabelled {
            per_class,
            distractors,
        } = self.unlabelled;
        let of_class = self.shots.saturating_add(per_class);
        let of_classes = self.ways.saturating_mul(of_class);
        of_classes.saturating_add(distractors.saturating_mul(per_class))
    }

    /// Images that one class gives from its labelled part: support and query together, or
    /// the larger of them where they may overlap.
    pub(crate) fn n_labelled_images(&self) -> usize {
        match self.query_pool {
            QueryPool::Disjoint => self.shots.saturating_add(self.queries),
            QueryPool::WholeClass => self.shots.max(self.queries),
        }
    }

    pub(crate) fn check(&self) -> Result<(), EpisodeError> {
        let at_least = |key, value, least: usize, expected| {
            if value < least {
                Err(EpisodeError::BadNumber {
                    key,
                    value,
                    expected,
                })
            } else {
                Ok(())
            }
        };
        at_least("episodes.ways", self.ways, 2, "at least 2")?;
        at_least("episodes.shots", self.shots, 1, "at least 1")?;
        at_least("episodes.queries", self.queries, 1, "at least 1")?;
        if self.balance == ClassBalance::Unbalanced {
            let others = [
                (
                    "episodes.query_pool",
                    self.query_pool != QueryPool::Disjoint,
                ),
                ("episodes.unlabelled", self.unlabelled.per_class > 0),
                ("episodes.irregular", self.irregular.is_some()),
            ];
            if let Some(&(other, _)) = others.iter().find(|(_, is_set)| *is_set) {
                return Err(EpisodeError::NotUnbalanced { other });
            }
        }
        if self.unlabelled.distractors > 0 {
            at_least(
                "episodes.unlabelled.per_class",
                self.unlabelled.per_class,
                1,
                "at least 1, since episodes.unlabelled.distractors is not 0",
            )?;
        }
        if let Some(Irregular {
            min_ways,
            max_ways,
            min_shots,
        }) = self.irregular
        {
            let max_ways = max_ways.unwrap_or(self.ways);
            for (key, value, least, most, expected) in [
                (
                    "episodes.irregular.max_ways",
                    max_ways,
                    2,
                    self.ways,
                    "2 to episodes.ways",
                ),
                (
                    "episodes.irregular.min_ways",
                    min_ways,
                    2,
                    max_ways,
                    "2 to the most ways",
                ),
                (
                    "episodes.irregular.min_shots",
                    min_shots,
                    1,
                    self.shots,
                    "1 to episodes.shots",
                ),
            ] {
                if !(least..=most).contains(&value) {
                    return Err(EpisodeError::BadNumber {
                        key,
                        value,
                        expected,
                    });
                }
            }
        }
        if let Some(augmentation) = &self.augmentation {
            augmentation.check()?;
        }
        if let Some(jitter) = &self.jitter {
            jitter.check()?;
        }
        let shares = [
            ("episodes.removal.labelled", self.removal.labelled, 0.0),
            ("episodes.removal.unlabelled", self.removal.unlabelled, 0.0),
            (
                "episodes.division.labelled",
                self.division.map_or(1.0, |division| division.labelled),
                f64::MIN_POSITIVE,
            ),
        ];
        for (key, value, least) in shares {
            if !(least..=1.0).contains(&value) {
                return Err(EpisodeError::BadShare { key, value });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labelled_part_is_rounded_up_from_what_the_share_is_meant_to_be() {
        let n_labelled = |labelled, n_images| {
            let division = Division { labelled, seed: 0 };
            division.n_labelled(n_images)
        };
        // Whole percents of a class: never one more than they are.
        for percent in 1..=100usize {
            for n_images in 1..=1000 {
                let expected = (percent * n_images).div_ceil(100);
                let found = n_labelled(percent as f64 / 100.0, n_images);
                assert_eq!(found, expected, "{percent} % of {n_images}");
            }
        }
        assert_eq!(n_labelled(0.07, 100), 7);
        assert_eq!(n_labelled(f64::MIN_POSITIVE, 20), 1);
        assert_eq!(n_labelled(1.0, 0), 0);
    }

    #[test]
    fn sizes_of_any_config_can_be_added() {
        let most = i64::MAX as usize;
        let spec = EpisodeSpec {
            unlabelled: Unlabelled {
                per_class: most,
                distractors: most,
            },
            ..EpisodeSpec::new(most, most, most)
        };
        assert_eq!(spec.n_support(), usize::MAX);
        assert_eq!(spec.n_labelled_images(), 2 * most);
    }
}
