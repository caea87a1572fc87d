//! How far the confidence of predictions can be believed: bins of equal width, and the expected
//! calibration error (ECE; Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017).
//!
//! A pure function of pairs (confidence, correct): whoever has predictions can call it.

use serde::Serialize;

/// One bin of confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Predictions in it.
    pub count: usize,
    /// Their mean confidence, in [0, 1]; 0 where there is none.
    pub confidence: f64,
    /// Share of them that is right, in [0, 1]; 0 where there is none.
    pub accuracy: f64,
}

/// Confidence against accuracy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reliability {
    /// Bins of equal width over [0, 1], in order; an upper edge belongs to the bin below it.
    pub bins: Vec<ReliabilityBin>,
}

impl Reliability {
    /// The bins that are usual.
    pub const BINS: usize = 15;

    /// Sorts predictions into `n_bins` bins.
    ///
    /// `predictions` are pairs of the probability that was given to the predicted label, in
    /// [0, 1], and of whether that label was right.
    pub fn of(predictions: impl IntoIterator<Item = (f64, bool)>, n_bins: usize) -> Self {
        let mut sums = vec![(0, 0.0, 0); n_bins];
        for (confidence, is_correct) in predictions {
            let bin = (confidence * n_bins as f64).ceil() as usize;
            let (count, confidences, correct) = &mut sums[bin.clamp(1, n_bins) - 1];
            *count += 1;
            *confidences += confidence;
            *correct += usize::from(is_correct);
        }
        let bins = sums.into_iter().map(|(count, confidences, correct)| {
            let n = count.max(1) as f64;
            ReliabilityBin {
                count,
                confidence: confidences / n,
                accuracy: correct as f64 / n,
            }
        });
        Self {
            bins: bins.collect(),
        }
    }

    /// Predictions in all bins.
    pub fn count(&self) -> usize {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    /// Expected calibration error, in [0, 1]: the mean over all predictions of how far accuracy
    /// and mean confidence of their bin are apart. 0 where there is no prediction.
    pub fn ece(&self) -> f64 {
        self.mean(|bin| (bin.accuracy - bin.confidence).abs())
    }

    /// Mean confidence of all predictions, in [0, 1].
    pub fn confidence(&self) -> f64 {
        self.mean(|bin| bin.confidence)
    }

    /// Share of all predictions that is right, in [0, 1].
    pub fn accuracy(&self) -> f64 {
        self.mean(|bin| bin.accuracy)
    }

    fn mean(&self, of: impl Fn(&ReliabilityBin) -> f64) -> f64 {
        let sum: f64 = self.bins.iter().map(|bin| bin.count as f64 * of(bin)).sum();
        sum / self.count().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} and {b}");
    }

    #[test]
    fn by_hand() {
        // Two bins: (0.3 wrong, 0.5 right) and (0.9 right, 0.7 wrong, 0.8 right, 1.0 right).
        let predictions = [
            (0.3, false),
            (0.5, true),
            (0.9, true),
            (0.7, false),
            (0.8, true),
            (1.0, true),
        ];
        let reliability = Reliability::of(predictions, 2);
        let [low, high] = reliability.bins[..] else {
            panic!("two bins: {reliability:?}");
        };
        assert_eq!((low.count, high.count), (2, 4));
        close(low.confidence, 0.4);
        close(low.accuracy, 0.5);
        close(high.confidence, 0.85);
        close(high.accuracy, 0.75);
        close(reliability.ece(), (2.0 * 0.1 + 4.0 * 0.1) / 6.0);
        close(reliability.accuracy(), 4.0 / 6.0);
        close(reliability.confidence(), 4.2 / 6.0);
    }

    #[test]
    fn what_keeps_its_word_has_no_error_and_what_boasts_has() {
        let told = |confidence: f64, right: usize| {
            let predictions = (0..100).map(move |at| (confidence, at < right));
            Reliability::of(predictions, Reliability::BINS).ece()
        };
        close(told(0.8, 80), 0.0);
        close(told(1.0, 60), 0.4);
        close(told(0.5, 90), 0.4);
    }

    #[test]
    fn nothing_and_the_edges_have_a_place() {
        close(Reliability::of([], 15).ece(), 0.0);
        let edges = Reliability::of([(0.0, false), (1.0, true)], 15);
        assert_eq!(edges.bins[0].count, 1);
        assert_eq!(edges.bins[14].count, 1);
        assert_eq!(edges.count(), 2);
    }
}
