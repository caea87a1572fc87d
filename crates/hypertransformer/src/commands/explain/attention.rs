//! Attention of the generator's transformers, and where the weight tokens look: the paper
//! (appendix E) finds a "stairway" in the logits layer, where the token of a class attends to
//! the samples of all other classes.

use ht_generator::{Trace, WeightGenerator};

/// Attention of one head for one episode.
#[derive(Clone, Debug)]
pub(super) struct AttentionMap {
    /// Position among the CNN's layers; the logits layer is the last.
    pub(super) layer: usize,
    /// `block_1`, or `decoder_1/cross`.
    pub(super) place: String,
    /// Counted from 1.
    pub(super) head: usize,
    /// G: the first tokens.
    pub(super) n_weight_tokens: usize,
    /// T rows of T: how much each token attends to each; weight tokens, then samples by label.
    pub(super) rows: Vec<Vec<f32>>,
}

/// A layer that a transformer writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GeneratedLayer {
    /// `layer 1`, `logits`.
    pub(super) name: String,
    /// Where the trace keeps it.
    scope: String,
    /// G.
    n_weight_tokens: usize,
    /// Whether weight token n writes the weights of class n.
    pub(super) is_logits: bool,
}

/// The layers that the transformers of a generator write, in order.
pub(super) fn generated_layers(generator: &WeightGenerator) -> Vec<GeneratedLayer> {
    let convolutions = generator.layers().iter().enumerate();
    let convolutions = convolutions.filter_map(|(l, source)| {
        let number = l + 1;
        Some(GeneratedLayer {
            name: format!("layer {number}"),
            scope: format!("layer_{number}/"),
            n_weight_tokens: source.generator()?.grid().slices.count,
            is_logits: false,
        })
    });
    let logits = GeneratedLayer {
        name: "logits".to_owned(),
        scope: "logits/".to_owned(),
        n_weight_tokens: generator.logits().grid().slices.count,
        is_logits: true,
    };
    convolutions.chain([logits]).collect()
}

/// The order of the samples by label, and their labels in that order; samples without a label
/// have the label N and so come last.
pub(super) fn by_label(labels: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&sample| labels[sample]);
    let sorted = order.iter().map(|&sample| labels[sample]).collect();
    (order, sorted)
}

/// All maps of a traced pass over one episode whose samples are put in `order`.
pub(super) fn maps(trace: &Trace, layers: &[GeneratedLayer], order: &[usize]) -> Vec<AttentionMap> {
    let mut maps = Vec::new();
    for (layer, at) in layers.iter().zip(0..) {
        let of_layer = trace.iter().filter_map(|(name, values)| {
            let place = name.strip_prefix(&layer.scope)?;
            Some((place.strip_suffix("/attention")?, values))
        });
        for (place, values) in of_layer {
            let [_, heads, t, _] = values.shape()[..] else {
                continue;
            };
            let g = layer.n_weight_tokens;
            let tokens: Vec<usize> = (0..g).chain(order.iter().map(|at| g + at)).collect();
            let values: Vec<f32> = values.iter::<f32>().collect();
            let row = |head: usize, token: usize| -> Vec<f32> {
                let start = (head * t + token) * t;
                tokens.iter().map(|other| values[start + other]).collect()
            };
            maps.extend((0..heads).map(|head| AttentionMap {
                layer: at,
                place: place.to_owned(),
                head: head + 1,
                n_weight_tokens: g,
                rows: tokens.iter().map(|&token| row(head, token)).collect(),
            }));
        }
    }
    maps
}

/// Where the weight tokens of one map look, means over them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Focus {
    /// Share of their attention that goes to samples, in [0, 1].
    pub(super) to_samples: f64,
    /// Of that, the part that goes to the label with the most, over its even part: 1 where all
    /// samples get the same.
    pub(super) most: f64,
    /// Of that, the part that goes to the token's own class over its even part; only in the
    /// logits layer.
    pub(super) own: Option<f64>,
}

impl Focus {
    /// `labels` are those of the samples in the map's order; `owns_class` where weight token n
    /// writes class n.
    pub(super) fn of(map: &AttentionMap, labels: &[usize], owns_class: bool) -> Self {
        let g = map.n_weight_tokens;
        let n_labels = labels.iter().max().map_or(0, |label| label + 1);
        let mut counts = vec![0.0; n_labels];
        for &label in labels {
            counts[label] += 1.0 / labels.len() as f64;
        }
        let mut to_samples = 0.0;
        let mut most = 0.0;
        let mut own = 0.0;
        let mut n_own = 0.0;
        for (token, row) in map.rows[..g].iter().enumerate() {
            let (to_tokens, samples) = row.split_at(g);
            let sum = |row: &[f32]| row.iter().map(|&x| f64::from(x)).sum::<f64>();
            let of_samples = sum(samples);
            to_samples += of_samples / (of_samples + sum(to_tokens));
            let mut shares = vec![0.0; n_labels];
            for (&label, &x) in labels.iter().zip(samples) {
                shares[label] += f64::from(x) / of_samples;
            }
            let lifts = shares.iter().zip(&counts);
            let lifts: Vec<f64> = lifts.map(|(share, even)| share / even).collect();
            let shown = lifts.iter().copied().filter(|lift| lift.is_finite());
            most += shown.fold(0.0, f64::max);
            if let Some(lift) = lifts.get(token).filter(|lift| lift.is_finite()) {
                own += lift;
                n_own += 1.0;
            }
        }
        Self {
            to_samples: to_samples / g as f64,
            most: most / g as f64,
            own: (owns_class && n_own > 0.0).then(|| own / n_own),
        }
    }

    /// The mean over episodes.
    pub(super) fn mean(of: &[Self]) -> Self {
        let n = of.len().max(1) as f64;
        let mean = |value: fn(&Self) -> f64| of.iter().map(value).sum::<f64>() / n;
        let has_own = of.iter().all(|focus| focus.own.is_some());
        Self {
            to_samples: mean(|focus| focus.to_samples),
            most: mean(|focus| focus.most),
            own: has_own.then(|| mean(|focus| focus.own.unwrap_or_default())),
        }
    }

    /// What this says of the stairway.
    pub(super) fn stairway(self) -> Option<Stairway> {
        Some(match self.own? {
            own if own >= 2.0 => Stairway::OwnClass,
            own if own <= 0.5 => Stairway::OtherClasses,
            _ => Stairway::None,
        })
    }
}

/// Whether the logits layer's tokens tell their own class from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stairway {
    /// Their own class has at least twice the even share.
    OwnClass,
    /// Their own class has at most half of the even share: the paper's.
    OtherClasses,
    /// Neither.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rows: Vec<Vec<f32>>, g: usize) -> AttentionMap {
        AttentionMap {
            layer: 0,
            place: "block_1".to_owned(),
            head: 1,
            n_weight_tokens: g,
            rows,
        }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} and {b}");
    }

    #[test]
    fn tokens_that_look_at_their_class_make_a_stairway() {
        let rows = vec![
            vec![0.1, 0.1, 0.4, 0.2, 0.1, 0.1],
            vec![0.2, 0.0, 0.0, 0.0, 0.4, 0.4],
        ];
        let labels = [0, 0, 1, 1];
        let focus = Focus::of(&map(rows.clone(), 2), &labels, true);
        close(focus.to_samples, 0.8);
        // 0.6 / 0.8 and 0.8 / 0.8 over an even half.
        close(focus.own.expect("classes"), 1.75);
        close(focus.most, 1.75);
        assert_eq!(focus.stairway(), Some(Stairway::None));
        assert_eq!(Focus::of(&map(rows, 2), &labels, false).own, None);
    }

    #[test]
    fn looking_away_is_the_papers_stairway() {
        let even = 1.0 / 3.0;
        let rows: Vec<Vec<f32>> = (0..4)
            .map(|token| {
                let to_label = |label| if token == label { 0.0 } else { even };
                (0..4).map(|_| 0.0).chain((0..4).map(to_label)).collect()
            })
            .collect();
        let focus = Focus::of(&map(rows, 4), &[0, 1, 2, 3], true);
        close(focus.own.expect("classes"), 0.0);
        close(focus.most, 4.0 / 3.0);
        assert_eq!(focus.stairway(), Some(Stairway::OtherClasses));
        assert_eq!(Focus::mean(&[focus, focus]), focus);
    }

    #[test]
    fn samples_are_sorted_by_label_and_keep_their_order() {
        let (order, labels) = by_label(&[2, 0, 1, 0]);
        assert_eq!(order, [1, 3, 2, 0]);
        assert_eq!(labels, [0, 0, 1, 2]);
    }
}
