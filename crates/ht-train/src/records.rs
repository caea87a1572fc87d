//! The result of each episode of a test, so that two methods can be compared episode by episode.
//!
//! ```text
//! {"method":"maml","norm_statistics":"query-batch","split":"test","episodes_sha256":"..",..}
//! {"episode":0,"accuracy":0.84}
//! ..
//! ```

use std::fmt::Write as _;
use std::path::Path;

use ht_cnn::NormStatistics;
use serde::{Deserialize, Serialize};

use crate::{Accuracy, TrainError};
use ht_files::{bounded, durable};

/// A longer file is none.
const MAX_BYTES: u64 = 256 << 20;

/// What was measured on which episodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Name of the method.
    pub method: String,
    /// Whose statistics normalise the query images: `query-batch` looks at all of them together.
    pub norm_statistics: NormStatistics,
    /// Classes of the episodes.
    pub split: String,
    /// SHA-256 over the data.
    pub data_sha256: String,
    /// SHA-256 over the episodes.
    pub episodes_sha256: String,
    /// SHA-256 over the parameters.
    pub parameters_sha256: String,
}

/// A test, episode by episode.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeRecords {
    /// What was measured.
    pub measured: Measured,
    /// Accuracy on each episode, in [0, 1].
    pub accuracies: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    episode: usize,
    accuracy: f64,
}

impl EpisodeRecords {
    /// Writes the file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let fail = |cause| TrainError::file("write", path, cause);
        let mut text = serde_json::to_string(&self.measured).map_err(fail)?;
        for (episode, &accuracy) in self.accuracies.iter().enumerate() {
            let line = Line { episode, accuracy };
            let line = serde_json::to_string(&line).map_err(fail)?;
            let _ = write!(text, "\n{line}");
        }
        text.push('\n');
        Ok(durable::replace_file(path, text.as_bytes())?)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// A file that is damaged or none of these.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let text = bounded::read_text(path, MAX_BYTES)?;
        let bad = |at: usize, cause: &dyn std::fmt::Display| {
            TrainError::file("read", path, format!("line {}: {cause}", at + 1))
        };
        let mut lines = text.lines().enumerate();
        let (_, first) = lines.next().unwrap_or((0, ""));
        let measured = serde_json::from_str(first).map_err(|cause| bad(0, &cause))?;
        let accuracies = lines
            .enumerate()
            .map(|(episode, (at, line))| {
                let line: Line = serde_json::from_str(line).map_err(|cause| bad(at, &cause))?;
                if line.episode != episode || !(0.0..=1.0).contains(&line.accuracy) {
                    let cause = format!("expected episode {episode} with an accuracy in [0, 1]");
                    return Err(bad(at, &cause));
                }
                Ok(line.accuracy)
            })
            .collect::<Result<Vec<f64>, _>>()?;
        if accuracies.is_empty() {
            return Err(bad(1, &"no episode"));
        }
        Ok(Self {
            measured,
            accuracies,
        })
    }

    /// Mean and interval.
    pub fn accuracy(&self) -> Accuracy {
        Accuracy::of(&self.accuracies)
    }

    /// How much more accurate this is than `other` on the same episodes, paired by episode: mean
    /// difference in percentage points with its 95 % interval.
    ///
    /// # Errors
    /// Other episodes.
    pub fn minus(&self, other: &Self) -> Result<Accuracy, TrainError> {
        let (ours, theirs) = (&self.measured, &other.measured);
        if ours.episodes_sha256 != theirs.episodes_sha256
            || ours.data_sha256 != theirs.data_sha256
            || self.accuracies.len() != other.accuracies.len()
        {
            return Err(TrainError::OtherEpisodes {
                ours: ours.episodes_sha256.clone(),
                theirs: theirs.episodes_sha256.clone(),
            });
        }
        let pairs = self.accuracies.iter().zip(&other.accuracies);
        let differences: Vec<f64> = pairs.map(|(ours, theirs)| ours - theirs).collect();
        Ok(Accuracy::of(&differences))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::accuracy::rounded;

    fn records(accuracies: &[f64]) -> EpisodeRecords {
        EpisodeRecords {
            measured: Measured {
                method: "maml".to_owned(),
                norm_statistics: NormStatistics::Support,
                split: "test".to_owned(),
                data_sha256: "d".to_owned(),
                episodes_sha256: "e".to_owned(),
                parameters_sha256: "p".to_owned(),
            },
            accuracies: accuracies.to_vec(),
        }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("test.jsonl");
        let written = records(&[0.25, 1.0, rounded(14.0 / 15.0)]);
        written.write(&path).expect("written");
        assert_eq!(EpisodeRecords::read(&path).expect("read"), written);
        let text = fs::read_to_string(&path).expect("text");
        for (change, expected) in [
            (text.replace("0.25", "1.25"), "line 2: expected episode 0"),
            (
                text.replace("\"episode\":2", "\"episode\":3"),
                "line 4: expected episode 2",
            ),
            ("{}\n".to_owned(), "line 1"),
            (
                text.lines().next().unwrap_or_default().to_owned(),
                "no episode",
            ),
        ] {
            fs::write(&path, change).expect("written");
            let error = EpisodeRecords::read(&path).expect_err(expected).to_string();
            assert!(
                error.contains(expected) && error.contains("test.jsonl"),
                "{error}"
            );
        }
    }

    #[test]
    fn differences_are_paired() {
        let (ours, theirs) = (records(&[0.5, 0.7, 0.9]), records(&[0.4, 0.6, 0.8]));
        let difference = ours.minus(&theirs).expect("the same episodes");
        assert!((difference.mean - 10.0).abs() < 1e-9);
        // Every pair differs by the same, however much the episodes differ.
        assert!(difference.ci95 < 1e-9);
        for change in [
            |measured: &mut Measured| measured.episodes_sha256 = "other".to_owned(),
            |measured: &mut Measured| measured.data_sha256 = "other".to_owned(),
        ] {
            let mut others = theirs.clone();
            change(&mut others.measured);
            let error = ours.minus(&others).expect_err("others").to_string();
            assert!(error.contains("other episodes or data"), "{error}");
        }
    }
}
