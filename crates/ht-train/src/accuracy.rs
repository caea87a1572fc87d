//! A mean with its interval: the only form in which an accuracy is reported.

use serde::{Deserialize, Serialize};

/// Mean accuracy over episodes, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Mean over the episodes, in percent.
    pub mean: f64,
    /// Half width of the interval, in percentage points: 1.96 s / sqrt(n).
    pub ci95: f64,
    /// n.
    pub episodes: usize,
}

impl Accuracy {
    /// Sums up per-episode accuracies in [0, 1].
    pub fn of(accuracies: &[f64]) -> Self {
        let n = accuracies.len() as f64;
        let mean = accuracies.iter().sum::<f64>() / n;
        let squares: f64 = accuracies.iter().map(|a| (a - mean).powi(2)).sum();
        let deviation = (squares / (n - 1.0).max(1.0)).sqrt();
        Self {
            mean: rounded(100.0 * mean),
            ci95: rounded(100.0 * 1.96 * deviation / n.sqrt()),
            episodes: accuracies.len(),
        }
    }
}

/// With as many digits as a number keeps when it is written to JSON and read again, so that a
/// resumed run compares the same numbers.
pub(crate) fn rounded(x: f64) -> f64 {
    (x * 1e10).round() / 1e10
}

impl std::fmt::Display for Accuracy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.2} ± {:.2} % (95 % interval, n = {})",
            self.mean, self.ci95, self.episodes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accuracy_is_read_as_it_was_written() {
        for right in 0..=60 {
            let accuracy = Accuracy::of(&[f64::from(right) / 60.0, 1.0 / 3.0, 0.7]);
            let text = serde_json::to_string(&accuracy).expect("JSON");
            let read: Accuracy = serde_json::from_str(&text).expect("the same");
            assert_eq!(read.mean.to_bits(), accuracy.mean.to_bits(), "{text}");
            assert_eq!(read.ci95.to_bits(), accuracy.ci95.to_bits(), "{text}");
        }
    }

    #[test]
    fn by_hand() {
        let accuracy = Accuracy::of(&[0.5, 0.7, 0.9]);
        assert!((accuracy.mean - 70.0).abs() < 1e-9);
        // s = 0.2, n = 3.
        assert!((accuracy.ci95 - 100.0 * 1.96 * 0.2 / 3f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn the_interval_covers_the_truth_about_95_times_in_100() {
        use rand::RngExt;
        let mut rng = ht_episodes::stream(0, "coverage", 0, 0);
        let covered = (0..1000)
            .filter(|_| {
                let sample: Vec<f64> = (0..600)
                    .map(|_| (0..25).filter(|_| rng.random_bool(0.8)).count() as f64 / 25.0)
                    .collect();
                let accuracy = Accuracy::of(&sample);
                (accuracy.mean - 80.0).abs() <= accuracy.ci95
            })
            .count();
        assert!((930..=970).contains(&covered), "{covered} of 1000");
    }
}
