//! How far weights move between episodes (the paper, appendix F: 10 to 15 %).

/// The spread of one layer's weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    /// Root mean square of all weights of all episodes.
    pub(super) size: f64,
    /// Root mean square over the weights of each one's standard deviation over the episodes.
    pub(super) deviation: f64,
}

impl Spread {
    /// The spread of weights that are given as one row per episode.
    pub(super) fn of(rows: &[Vec<f32>]) -> Self {
        let n = rows.len() as f64;
        let n_weights = rows.first().map_or(0, Vec::len);
        let mut squares = 0.0;
        let mut variances = 0.0;
        for weight in 0..n_weights {
            let values = || rows.iter().map(|row| f64::from(row[weight]));
            let mean = values().sum::<f64>() / n;
            squares += values().map(|x| x * x).sum::<f64>() / n;
            let around_mean: f64 = values().map(|x| (x - mean).powi(2)).sum();
            variances += around_mean / (n - 1.0).max(1.0);
        }
        let root_mean = |sum: f64| (sum / n_weights.max(1) as f64).sqrt();
        Self {
            size: root_mean(squares),
            deviation: root_mean(variances),
        }
    }

    /// Deviation over size, in percent; 0 where all weights are 0.
    pub(super) fn percent(self) -> f64 {
        if self.size == 0.0 {
            return 0.0;
        }
        100.0 * self.deviation / self.size
    }

    /// Whether the weights differ between episodes by more than rounding.
    pub(super) fn moves(self) -> bool {
        self.percent() > 1e-3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let spread = Spread::of(&[vec![1.0, 2.0], vec![3.0, 2.0]]);
        // Variances 2 and 0 over two episodes; squares 1, 4, 9, 4.
        assert!((spread.deviation - 1.0).abs() < 1e-12, "{spread:?}");
        assert!((spread.size - 4.5f64.sqrt()).abs() < 1e-12, "{spread:?}");
        assert!((spread.percent() - 100.0 / 4.5f64.sqrt()).abs() < 1e-9);
        assert!(spread.moves());
    }

    #[test]
    fn weights_that_stay_have_none() {
        let spread = Spread::of(&vec![vec![0.3, -0.7]; 5]);
        assert!(!spread.moves(), "{spread:?}");
        assert!(!Spread::of(&vec![vec![0.0]; 3]).moves());
    }
}
