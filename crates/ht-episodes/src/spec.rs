//! The size of an episode: how many classes, and how many images of each.

use serde::{Deserialize, Serialize};

use crate::EpisodeError;

/// An N-way K-shot episode with a number of query images per class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeSpec {
    /// N: classes per episode.
    pub ways: usize,
    /// K: labelled support images per class.
    pub shots: usize,
    /// Query images per class.
    pub queries: usize,
}

impl EpisodeSpec {
    /// S: support images per episode.
    pub fn n_support(&self) -> usize {
        self.ways * self.shots
    }

    /// Q: query images per episode.
    pub fn n_query(&self) -> usize {
        self.ways * self.queries
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
        at_least("episodes.queries", self.queries, 1, "at least 1")
    }
}
