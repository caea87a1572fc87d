//! The episodes of an experiment: one size for training, the same with other queries and
//! unlabelled images for validation and test.

use ht_episodes::{
    ClassBalance, ClassRotation, Division, EpisodeAugmentation, EpisodeSpec, ImageJitter,
    Irregular, PhotoAugmentation, QueryPool, Removal, Unlabelled,
};
use serde::{Deserialize, Serialize};

/// Size of the episodes, and the turning of their classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodesConfig {
    /// N: classes per episode.
    pub ways: usize,
    /// K: labelled support images per class.
    pub shots: usize,
    /// Query images per class, in training.
    pub queries: usize,
    /// Quarter turns of training classes.
    pub rotation: ClassRotation,
    /// Where the query images come from.
    #[serde(default)]
    pub query_pool: QueryPool,
    /// Whether every class has its K support images.
    #[serde(default)]
    pub balance: ClassBalance,
    /// Unlabelled support images, or none.
    pub unlabelled: Option<UnlabelledConfig>,
    /// A fixed division of each class into labelled and unlabelled images, or none.
    pub division: Option<Division>,
    /// Episodes of different sizes, or none.
    pub irregular: Option<Irregular>,
    /// Random removal of support samples in training, or none.
    pub removal: Option<Removal>,
    /// Operations on all images of a class, in training, or none.
    pub augmentation: Option<EpisodeAugmentation>,
    /// Photo augmentation, in training, or none.
    pub photo: Option<PhotoAugmentation>,
    /// Small changes of each image alone, in training, or none.
    pub jitter: Option<ImageJitter>,
}

/// Unlabelled support images: M may differ between training and evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnlabelledConfig {
    /// M in training.
    pub train: usize,
    /// M in validation and test.
    pub evaluation: usize,
    /// H: further classes of which M unlabelled images each are mixed in.
    #[serde(default)]
    pub distractors: usize,
}

impl EpisodesConfig {
    /// The episodes' size in words: `20-way 5-shot`, or from which to which.
    pub fn size(&self) -> String {
        let (ways, shots) = (self.ways, self.shots);
        let Some(irregular) = self.irregular else {
            return format!("{ways}-way {shots}-shot");
        };
        let range = |least: usize, most: usize| {
            if least == most {
                most.to_string()
            } else {
                format!("{least}- to {most}")
            }
        };
        let ways = range(irregular.min_ways, irregular.max_ways.unwrap_or(ways));
        format!("{ways}-way {}-shot", range(irregular.min_shots, shots))
    }

    /// The training episodes.
    pub fn train_spec(&self) -> EpisodeSpec {
        self.spec(self.queries, |unlabelled| unlabelled.train)
    }

    /// The validation and test episodes, with their own number of queries per class.
    pub fn evaluation_spec(&self, queries: usize) -> EpisodeSpec {
        self.spec(queries, |unlabelled| unlabelled.evaluation)
    }

    fn spec(&self, queries: usize, per_class: fn(UnlabelledConfig) -> usize) -> EpisodeSpec {
        let unlabelled = self.unlabelled.map(|unlabelled| Unlabelled {
            per_class: per_class(unlabelled),
            distractors: if per_class(unlabelled) == 0 {
                0
            } else {
                unlabelled.distractors
            },
        });
        EpisodeSpec {
            ways: self.ways,
            shots: self.shots,
            queries,
            query_pool: self.query_pool,
            balance: self.balance,
            unlabelled: unlabelled.unwrap_or_default(),
            division: self.division,
            irregular: self.irregular,
            removal: self.removal.unwrap_or_default(),
            augmentation: self.augmentation,
            photo: self.photo,
            jitter: self.jitter,
        }
    }
}
