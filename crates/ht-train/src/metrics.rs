//! Metrics: one JSON object per line, in the order of the steps. Nothing else writes numbers.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::{StepFigures, TrainError};
use ht_files::{bounded, durable};

/// A longer file is none: a line for each of a million steps takes a quarter of it.
const MAX_BYTES: u64 = 1 << 30;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Metric {
    /// Means over the steps since the last such line; none where all of them were left out.
    Train {
        /// Steps so far.
        step: u64,
        /// Training loss.
        loss: f64,
        /// Training accuracy, in percent.
        accuracy: f64,
        /// Learning rate of the last update.
        learning_rate: f64,
        /// Norm of the whole gradient of the last update, before clipping.
        gradient_norm: f64,
        /// Episodes per second.
        episodes_per_second: f64,
    },
    /// Accuracy on the fixed validation episodes.
    Validation {
        /// Steps so far.
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
    /// A step whose numbers had gone wrong and that was left out (`--skip-bad-steps`).
    SkippedStep {
        /// Steps so far, this one counted.
        step: u64,
        /// What was wrong.
        cause: String,
        /// Indices of the training episodes that were so.
        episodes: Vec<u64>,
        /// Steps of the whole run that were left out.
        skipped_steps: u64,
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
    pub(crate) fn step(&self) -> u64 {
        match self {
            Self::Train { step, .. }
            | Self::Validation { step, .. }
            | Self::SkippedStep { step, .. }
            | Self::Test { step, .. } => *step,
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
    /// again, and a last line cut off by a crash are removed.
    ///
    /// # Errors
    /// A file that cannot be read or written, or one with another line that is none.
    pub fn open(path: &Path, step: u64) -> Result<Self, TrainError> {
        if path.exists() {
            let bytes = bounded::read(path, MAX_BYTES)?;
            // A crash of the machine can leave any bytes at the end.
            let text = String::from_utf8_lossy(&bytes);
            let mut kept = String::new();
            for (at, line) in text.split_inclusive('\n').enumerate() {
                let is_cut_off = !line.ends_with('\n');
                match serde_json::from_str::<Metric>(line) {
                    Ok(metric) if metric.step() <= step && !metric.is_test() => {
                        kept.extend([line.trim_end(), "\n"]);
                    }
                    Err(cause) if !is_cut_off => {
                        let cause = format!("line {}: {cause}", at + 1);
                        return Err(TrainError::file("read", path, cause));
                    }
                    _ => {}
                }
            }
            if kept.as_bytes() != bytes {
                durable::replace_file(path, kept.as_bytes())?;
            }
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
    /// A file that cannot be read or is larger than 1 GiB, or one with another line that is none.
    pub fn read(path: &Path) -> Result<Vec<Metric>, TrainError> {
        let fail = |cause: String| TrainError::file("read", path, cause);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let bytes = bounded::read(path, MAX_BYTES)?;
        let text = String::from_utf8_lossy(&bytes);
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
        Ok(durable::append(
            &mut self.file,
            &self.path,
            line.as_bytes(),
        )?)
    }

    /// Waits until all lines have reached the disk: a checkpoint must not outlive the lines
    /// before it, which nobody would write again.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        Ok(durable::sync(&self.file, &self.path)?)
    }
}

impl Metric {
    fn is_test(&self) -> bool {
        matches!(self, Self::Test { .. })
    }
}

/// Sums over the steps since the last line of the metrics, as a checkpoint keeps them.
///
/// The sums are the bits of an `f64`: as decimals some would come back changed in the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowSums {
    n_steps: u64,
    loss: u64,
    accuracy: u64,
    /// Of the last step, no sum.
    gradient_norm: u64,
    seconds: f64,
}

impl WindowSums {
    pub(crate) fn without_clock(self) -> Self {
        Self {
            seconds: 0.0,
            ..self
        }
    }
}

/// Means over the steps since the last line of the metrics.
pub(crate) struct StepWindow {
    n_steps: u64,
    loss: f64,
    accuracy: f64,
    gradient_norm: f64,
    seconds: f64,
    clock: Instant,
}

impl StepWindow {
    pub(crate) fn new(sums: WindowSums) -> Self {
        Self {
            n_steps: sums.n_steps,
            loss: f64::from_bits(sums.loss),
            accuracy: f64::from_bits(sums.accuracy),
            gradient_norm: f64::from_bits(sums.gradient_norm),
            seconds: sums.seconds,
            clock: Instant::now(),
        }
    }

    pub(crate) fn sums(&self) -> WindowSums {
        WindowSums {
            n_steps: self.n_steps,
            loss: self.loss.to_bits(),
            accuracy: self.accuracy.to_bits(),
            gradient_norm: self.gradient_norm.to_bits(),
            seconds: self.seconds,
        }
    }

    pub(crate) fn add(&mut self, figures: StepFigures) {
        self.n_steps += 1;
        self.loss += figures.loss;
        self.accuracy += figures.accuracy;
        self.gradient_norm = figures.gradient_norm;
        self.count_time();
    }

    /// Counts the time since the last step.
    pub(crate) fn count_time(&mut self) {
        self.seconds += self.clock.elapsed().as_secs_f64();
        self.clock = Instant::now();
    }

    /// Leaves the time since the last step out of the rate.
    pub(crate) fn restart_clock(&mut self) {
        self.clock = Instant::now();
    }

    /// The line over these steps, if there are any, and a new beginning.
    pub(crate) fn finish(
        &mut self,
        step: u64,
        learning_rate: f64,
        episodes_per_step: f64,
    ) -> Option<Metric> {
        let n = self.n_steps as f64;
        let metric = (self.n_steps > 0).then(|| Metric::Train {
            step,
            loss: self.loss / n,
            accuracy: 100.0 * self.accuracy / n,
            learning_rate,
            gradient_norm: self.gradient_norm,
            episodes_per_second: n * episodes_per_step / self.seconds,
        });
        *self = Self::new(WindowSums::default());
        metric
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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

    fn line(step: u64) -> Metric {
        Metric::SkippedStep {
            step,
            cause: "a test".to_owned(),
            episodes: vec![1],
            skipped_steps: step,
        }
    }

    #[test]
    fn a_damaged_line_that_is_not_the_last_stays_and_is_named() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("metrics.jsonl");
        let mut whole = MetricsLog::open(&path, 0).expect("made");
        (1..=4).for_each(|step| whole.write(&line(step)).expect("written"));
        let text = fs::read_to_string(&path).expect("read");
        for n in 1..=4 {
            let step = format!("\"step\":{n}");
            let damaged = text.replace(&step, &step.replace(':', "#"));
            fs::write(&path, &damaged).expect("written");
            let error = MetricsLog::open(&path, 4).expect_err("damaged").to_string();
            let expected = ["metrics.jsonl".to_owned(), format!("line {n}")];
            assert!(expected.iter().all(|part| error.contains(part)), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("read"), damaged);
        }
    }

    #[test]
    fn a_torn_last_line_and_later_ones_are_cut() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("metrics.jsonl");
        let mut whole = MetricsLog::open(&path, 0).expect("made");
        (1..=4).for_each(|step| whole.write(&line(step)).expect("written"));
        let bytes = fs::read(&path).expect("read");
        let n_lines = 4;
        let (first_three, last) = bytes.split_at(bytes.len() / n_lines * (n_lines - 1));
        for cut in 0..last.len() {
            for garbage in [&b""[..], b"\0\0\0", b"\xff\xfe"] {
                fs::write(&path, [first_three, &last[..cut], garbage].concat()).expect("torn");
                let mut log = MetricsLog::open(&path, 3).expect("opened");
                log.write(&line(4)).expect("written");
                assert_eq!(fs::read(&path).expect("read"), bytes, "cut at {cut}");
            }
        }
        MetricsLog::open(&path, 2).expect("opened");
        let kept = fs::read(&path).expect("read");
        assert_eq!(kept, bytes[..bytes.len() / 2]);
    }
}
