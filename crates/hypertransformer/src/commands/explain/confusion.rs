//! Which classes are taken for each other. A label is drawn anew for each episode, so a matrix
//! over labels says nothing: real classes are counted, and groups of them.

use std::collections::BTreeMap;

use ht_train::Prediction;

/// One episode: the real class of each label, and what was said of its query images.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// None for a label that the episode does not have.
    pub(super) classes: Vec<Option<usize>>,
    /// Of each query image.
    pub(super) predictions: Vec<Prediction>,
}

impl Told {
    /// Every query image with the real classes of its label, of the predicted label, and of all
    /// labels that it could have been given wrongly.
    fn images(&self) -> impl Iterator<Item = (usize, usize, Vec<usize>)> {
        self.predictions.iter().filter_map(move |told| {
            let class = self.classes[told.label]?;
            let predicted = self.classes[told.predicted]?;
            let others = self.classes.iter().copied().flatten();
            Some((class, predicted, others.filter(|&c| c != class).collect()))
        })
    }
}

/// Two classes that met in some episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pair {
    /// In ascending order.
    pub(super) classes: [usize; 2],
    /// Episodes with both.
    pub(super) met: usize,
    /// Query images of either class in them.
    pub(super) images: usize,
    /// Those that were taken for the other class.
    pub(super) confused: usize,
}

/// The pairs with a confused image, those with most first; of equals those that met less often.
pub(super) fn pairs(episodes: &[Told]) -> Vec<Pair> {
    let mut found: BTreeMap<[usize; 2], Pair> = BTreeMap::new();
    let key = |a: usize, b: usize| [a.min(b), a.max(b)];
    for told in episodes {
        let classes: Vec<usize> = told.classes.iter().copied().flatten().collect();
        for (at, &a) in classes.iter().enumerate() {
            for &b in &classes[at + 1..] {
                found.entry(key(a, b)).or_default().met += 1;
            }
        }
        for (class, predicted, others) in told.images() {
            for other in others {
                let pair = found.entry(key(class, other)).or_default();
                pair.images += 1;
                pair.confused += usize::from(other == predicted);
            }
        }
    }
    let mut pairs: Vec<Pair> = found
        .into_iter()
        .map(|(classes, pair)| Pair { classes, ..pair })
        .filter(|pair| pair.confused > 0)
        .collect();
    pairs.sort_by_key(|pair| (std::cmp::Reverse(pair.confused), pair.met, pair.classes));
    pairs
}

/// How often an image of one group is taken for a given wrong class of another.
#[derive(Clone, Debug)]
pub(super) struct GroupMatrix {
    /// Rates in [0, 1]: rows are the image's group, columns the wrong class's; none where the
    /// two never met.
    pub(super) rates: Vec<Vec<Option<f64>>>,
    /// The same over all groups, for classes of one group.
    pub(super) within: f64,
    /// The same for classes of two groups.
    pub(super) between: f64,
}

impl GroupMatrix {
    /// `group_of` gives the group of a class, `0..n_groups`, if it has one.
    pub(super) fn of(
        episodes: &[Told],
        n_groups: usize,
        group_of: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let mut counts = vec![vec![(0u64, 0u64); n_groups]; n_groups];
        for told in episodes {
            for (class, predicted, others) in told.images() {
                let Some(row) = group_of(class) else { continue };
                for other in others {
                    let Some(column) = group_of(other) else {
                        continue;
                    };
                    let (chances, taken) = &mut counts[row][column];
                    *chances += 1;
                    *taken += u64::from(other == predicted);
                }
            }
        }
        let rate = |(chances, taken): (u64, u64)| taken as f64 / chances.max(1) as f64;
        let sum = |is_within: bool| {
            let cells = counts.iter().enumerate().flat_map(|(row, columns)| {
                let chosen = columns.iter().enumerate();
                chosen.filter_map(move |(column, &cell)| {
                    ((row == column) == is_within).then_some(cell)
                })
            });
            cells.fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
        };
        let cell = |&cell: &(u64, u64)| (cell.0 > 0).then(|| rate(cell));
        Self {
            within: rate(sum(true)),
            between: rate(sum(false)),
            rates: counts
                .iter()
                .map(|columns| columns.iter().map(cell).collect())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(classes: [usize; 3], predictions: &[(usize, usize)]) -> Told {
        let predictions = predictions.iter().map(|&(label, predicted)| Prediction {
            label,
            predicted,
            confidence: 0.5,
        });
        Told {
            classes: classes.map(Some).to_vec(),
            predictions: predictions.collect(),
        }
    }

    fn episodes() -> [Told; 2] {
        [
            // Class 7 is taken for 5 once, 5 for 9 once.
            told([7, 5, 9], &[(0, 1), (1, 2), (2, 2)]),
            // Class 5 is taken for 7 twice.
            told([5, 7, 8], &[(0, 1), (0, 1), (1, 1), (2, 2)]),
        ]
    }

    #[test]
    fn pairs_by_hand() {
        let pairs = pairs(&episodes());
        assert_eq!(
            pairs[0],
            Pair {
                classes: [5, 7],
                met: 2,
                images: 5,
                confused: 3
            }
        );
        assert_eq!(
            pairs[1],
            Pair {
                classes: [5, 9],
                met: 1,
                images: 2,
                confused: 1
            }
        );
        assert_eq!(pairs.len(), 2);
    }

    #[test]
    fn groups_by_hand() {
        // 5 and 7 are of one group, 8 and 9 of another.
        let matrix = GroupMatrix::of(&episodes(), 2, |class| Some(usize::from(class > 7)));
        // Each of five images of group 0 met one other class of its group.
        assert_eq!(matrix.rates[0][0], Some(3.0 / 5.0));
        assert_eq!(matrix.rates[0][1], Some(1.0 / 5.0));
        assert_eq!(matrix.rates[1][0], Some(0.0));
        assert_eq!(matrix.rates[1][1], None);
        assert!((matrix.within - 0.6).abs() < 1e-12);
        assert!((matrix.between - 1.0 / 9.0).abs() < 1e-12);
    }
}
