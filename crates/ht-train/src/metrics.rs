//! Metrics: one JSON object per line, in the order of the steps. Nothing else writes numbers.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// A longer file is none.
const MAX_BYTES: u64 = 256 << 20;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Metric {
    /// Means over the steps since the last such line.
    Train {
        /// Updates so far.
        step: u64,
        /// Training loss.
        loss: f64,
        /// Training accuracy, in percent.
        accuracy: f64,
        /// Learning rate of the last update.
        learning_rate: f64,
        /// Norm of the whole gradient before clipping.
        gradient_norm: f64,
        /// Episodes per second.
        episodes_per_second: f64,
    },
    /// Accuracy on the fixed validation episodes.
    Validation {
        /// Updates so far.
        step: u64,
        /// Mean, in percent.
        accuracy: f64,
        /// Half width of the 95 % interval.
        ci95: f64,
        /// Episodes.
        episodes: usize,
        /// Seconds of training so far.
        train_seconds: f64,
    },
    /// Accuracy of the best checkpoint on the fixed test episodes.
    Test {
        /// Updates of the whole run.
        step: u64,
        /// Updates of the checkpoint that was tested.
        best_step: u64,
        /// Mean, in percent.
        accuracy: f64,
        /// Half width of the 95 % interval.
        ci95: f64,
        /// Episodes.
        episodes: usize,
        /// Pixel nearest neighbour on the same episodes, in percent.
        pixel_nn_accuracy: f64,
    },
}

impl Metric {
    fn step(&self) -> u64 {
        match self {
            Self::Train { step, .. } | Self::Validation { step, .. } | Self::Test { step, .. } => {
                *step
            }
        }
    }
}

/// The metrics file of a run.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Opens the file of a run that goes on after `step`: later lines, which will be written
    /// again, and a line cut off by a crash are removed.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<Self, TrainError> {
        if path.exists() {
            let text =
                fs::read_to_string(path).map_err(|cause| TrainError::file("read", path, cause))?;
            let kept: String = text
                .lines()
                .filter(|line| {
                    serde_json::from_str::<Metric>(line)
                        .is_ok_and(|metric| metric.step() <= step && !metric.is_test())
                })
                .flat_map(|line| [line, "\n"])
                .collect();
            fs::write(path, kept).map_err(|cause| TrainError::file("write", path, cause))?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|cause| TrainError::file("write", path, cause))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// The lines of a file, in order; none where there is no file. A last line that a crash cut
    /// off is left out.
    ///
    /// # Errors
    /// A file that cannot be read, is larger than 256 MiB, or has another line that is none.
    pub fn read(path: &Path) -> Result<Vec<Metric>, TrainError> {
        let fail = |cause: String| TrainError::file("read", path, cause);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let metadata = fs::metadata(path).map_err(|cause| fail(cause.to_string()))?;
        if metadata.len() > MAX_BYTES {
            let n_bytes = metadata.len();
            return Err(fail(format!(
                "{n_bytes} bytes, expected {MAX_BYTES} at most"
            )));
        }
        let text = fs::read_to_string(path).map_err(|cause| fail(cause.to_string()))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().enumerate();
        lines
            .map(|(at, line)| {
                serde_json::from_str(line)
                    .map_err(|cause| fail(format!("line {}: {cause}", at + 1)))
            })
            .collect()
    }

    /// Appends a line.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&mut self, metric: &Metric) -> Result<(), TrainError> {
        let mut line = serde_json::to_string(metric)
            .map_err(|cause| TrainError::file("write", &self.path, cause))?;
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|cause| TrainError::file("write", &self.path, cause))
    }
}

impl Metric {
    fn is_test(&self) -> bool {
        matches!(self, Self::Test { .. })
    }
}

/// Means over the steps since the last line of the metrics.
pub(crate) struct StepWindow {
    n_steps: u64,
    loss: f64,
    accuracy: f64,
    seconds: f64,
    clock: Instant,
}

impl StepWindow {
    pub(crate) fn new() -> Self {
        Self {
            n_steps: 0,
            loss: 0.0,
            accuracy: 0.0,
            seconds: 0.0,
            clock: Instant::now(),
        }
    }

    pub(crate) fn add(&mut self, loss: f64, accuracy: f64) {
        self.n_steps += 1;
        self.loss += loss;
        self.accuracy += accuracy;
        self.seconds += self.clock.elapsed().as_secs_f64();
        self.clock = Instant::now();
    }

    /// Leaves the time since the last step out of the rate.
    pub(crate) fn restart_clock(&mut self) {
        self.clock = Instant::now();
    }

    pub(crate) fn finish(
        &mut self,
        step: u64,
        learning_rate: f64,
        gradient_norm: f64,
        episodes_per_step: f64,
    ) -> Metric {
        let n = self.n_steps as f64;
        let metric = Metric::Train {
            step,
            loss: self.loss / n,
            accuracy: 100.0 * self.accuracy / n,
            learning_rate,
            gradient_norm,
            episodes_per_second: n * episodes_per_step / self.seconds,
        };
        *self = Self::new();
        metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_written_but_for_one_cut_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.jsonl");
        assert_eq!(MetricsLog::read(&path).expect("no file, no lines"), []);
        let metric = Metric::Validation {
            step: 3,
            accuracy: 50.0,
            ci95: 1.5,
            episodes: 10,
            train_seconds: 2.0,
        };
        let mut log = MetricsLog::open(&path, 0).expect("opened");
        log.write(&metric).expect("written");
        let mut text = fs::read_to_string(&path).expect("read");
        text.push_str("{\"kind\":\"tra");
        fs::write(&path, &text).expect("written");
        assert_eq!(MetricsLog::read(&path).expect("read"), [metric]);
        fs::write(&path, text + "\n").expect("written");
        let error = MetricsLog::read(&path).expect_err("no line of ours");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
