//! How good a CNN from so few pictures may be: each one is classified by a CNN that was written
//! without it. With five pictures of a class the answer is rough, and its interval says how rough.

use ht_train::best_label;
use serde::Serialize;

use super::factory::Factory;
use super::task::Task;

/// Pictures that are left out one after another; of more, evenly chosen ones.
const MOST: usize = 200;

/// The share of right answers among few.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Share {
    pub(super) right: usize,
    pub(super) of: usize,
    /// 95 % interval of the share, in percent (Wilson, 1927: fit for small numbers).
    pub(super) interval: [f64; 2],
}

impl Share {
    fn of(right: usize, of: usize) -> Self {
        let z = 1.96f64;
        let n = of as f64;
        let share = right as f64 / n;
        let centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let spread = (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        let half = z / (1.0 + z * z / n) * spread;
        let percent = |share: f64| 100.0 * share.clamp(0.0, 1.0);
        Self {
            right,
            of,
            interval: [percent(centre - half), percent(centre + half)],
        }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [low, high] = self.interval;
        let share = 100.0 * self.right as f64 / self.of as f64;
        write!(
            f,
            "{} of {} ({share:.0} %, 95 % interval {low:.0} to {high:.0})",
            self.right, self.of
        )
    }
}

/// What was taken for what.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Confusion {
    /// `[N, N]`: pictures of the row's class that were taken for the column's.
    pub(super) counts: Vec<Vec<usize>>,
    /// Right answers of each class; none where a class has one picture, which cannot be left out.
    pub(super) classes: Vec<Option<Share>>,
    /// Of all pictures that were left out.
    pub(super) all: Option<Share>,
}

impl Confusion {
    fn of(n_labels: usize, answers: &[(usize, usize)]) -> Self {
        let mut counts = vec![vec![0; n_labels]; n_labels];
        for &(label, answer) in answers {
            counts[label][answer] += 1;
        }
        let share = |right, of| (of > 0).then(|| Share::of(right, of));
        let classes = counts.iter().enumerate();
        Self {
            classes: classes
                .map(|(label, row)| share(row[label], row.iter().sum()))
                .collect(),
            all: share(
                (0..n_labels).map(|label| counts[label][label]).sum(),
                answers.len(),
            ),
            counts,
        }
    }
}

/// Leaves each labelled picture out once whose class has another.
pub(super) fn leave_one_out(factory: &Factory, task: &Task) -> Confusion {
    let candidates: Vec<(usize, usize)> = (task.images.iter().enumerate())
        .filter_map(|(at, image)| Some((at, image.label?)))
        .filter(|&(_, label)| task.n_shots(label) > 1)
        .collect();
    let n_chosen = candidates.len().min(MOST);
    let answers: Vec<(usize, usize)> = (0..n_chosen)
        .map(|n| {
            let (at, label) = candidates[n * candidates.len() / n_chosen];
            let others = task.without(at);
            let cnn = factory.adapt(&others);
            let logits = factory.logits(&cnn, &task.images[at].pixels, &others);
            (label, best_label(&logits))
        })
        .collect();
    Confusion::of(task.labels.len(), &answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_by_hand() {
        // 8 of 10: centre (0.8 + 0.19208) / 1.38416, half 1.96 / 1.38416 * sqrt(0.016 + 0.009604).
        let [low, high] = Share::of(8, 10).interval;
        assert!(
            (low - 49.02).abs() < 0.01 && (high - 94.33).abs() < 0.01,
            "{low} {high}"
        );
        let [low, high] = Share::of(5, 5).interval;
        assert!(
            (low - 56.55).abs() < 0.01 && (high - 100.0).abs() < 1e-9,
            "{low} {high}"
        );
        assert!(Share::of(0, 5).interval[0].abs() < 1e-9);
    }

    #[test]
    fn classes_with_one_picture_have_no_share() {
        let confusion = Confusion::of(3, &[(0, 0), (0, 1), (1, 1)]);
        assert_eq!(confusion.counts, [[1, 1, 0], [0, 1, 0], [0, 0, 0]]);
        assert_eq!(
            confusion.classes[0].map(|share| (share.right, share.of)),
            Some((1, 2))
        );
        assert_eq!(confusion.classes[2], None);
        assert_eq!(
            confusion.all.map(|share| (share.right, share.of)),
            Some((2, 3))
        );
    }
}
