//! What a calibration is fitted on: the logits of the query images of episodes, and those of images of
//! classes that an episode does not have.

use std::iter;

use ht_episodes::{EpisodeList, EpisodePlan, PlannedClass};

use crate::predictions::image_logits;
use crate::{Compute, FixedEpisodes, Learner};

/// Episodes whose images may stand for images of other classes.
const NEIGHBOURS: usize = 8;

/// The logits that a method gives to the images of one episode.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeLogits {
    /// Classes that the episode has; others of the N labels have no probability.
    pub classes: usize,
    /// Labelled support images of each class, on the mean.
    pub images_per_class: f64,
    /// Query images: N logits and the right label.
    pub known: Vec<(Vec<f32>, usize)>,
    /// Images of classes that the episode does not have: N logits and the class in the data set.
    pub unknown: Vec<(Vec<f32>, usize)>,
}

/// The logits of a method on fixed episodes.
///
/// Images of other classes are query images of the episodes that follow. Under query-batch
/// statistics they are normalised by themselves, apart from the query images.
///
/// `model` must be on the device of `compute`, without autodiff.
pub fn episode_logits(
    model: &Learner,
    episodes: &FixedEpisodes<'_>,
    compute: &Compute,
) -> Vec<EpisodeLogits> {
    let plans = episodes.list.plans();
    let strangers: Vec<EpisodePlan> = (0..plans.len()).map(|at| strangers(plans, at)).collect();
    // Where the episodes have all classes, there are no others.
    let has_images = |plan: &EpisodePlan| plan.query().next().is_some();
    let classes_of = |plan: &EpisodePlan| -> Vec<usize> { plan.query().map(|i| i.class).collect() };
    let asked = strangers.iter().filter(|plan| has_images(plan)).cloned();
    let asked = FixedEpisodes {
        images: episodes.images,
        list: EpisodeList::new(episodes.list.split(), asked.collect()),
    };
    let mut unknown = image_logits(model, &asked, compute).into_iter();
    let known = image_logits(model, episodes, compute);
    (plans.iter().zip(known).zip(&strangers))
        .map(|((plan, known), strangers)| {
            let unknown = has_images(strangers).then(|| unknown.next()).flatten();
            let known = known.into_iter();
            let classes = (0..plan.ways).filter(|&n| plan.has_label(n)).count();
            EpisodeLogits {
                classes,
                images_per_class: labelled(plan).max(1) as f64 / classes as f64,
                known: known
                    .filter_map(|(label, logits)| Some((logits, label?)))
                    .collect(),
                unknown: (unknown.into_iter().flatten().zip(classes_of(strangers)))
                    .map(|((_, logits), class)| (logits, class))
                    .collect(),
            }
        })
        .collect()
}

/// Support images that are shown with their label.
fn labelled(plan: &EpisodePlan) -> usize {
    let is_removed = plan.removed.iter().copied().chain(iter::repeat(false));
    let shown = (plan.support().zip(is_removed))
        .filter(|(image, removed)| image.label.is_some() && !removed);
    shown.count()
}

/// An episode with the same support set, and as query images those of classes that it does not have,
/// at most as many as its own.
fn strangers(plans: &[EpisodePlan], at: usize) -> EpisodePlan {
    let plan = &plans[at];
    let mut room = plan.query().count();
    let mut classes: Vec<PlannedClass> = plan.classes.clone();
    for class in &mut classes {
        class.query.clear();
    }
    let following = plans.iter().cycle().skip(at + 1).take(NEIGHBOURS);
    for other in following.flat_map(|plan| &plan.classes) {
        if classes.iter().any(|class| class.class == other.class) {
            continue;
        }
        let query: Vec<usize> = other.query.iter().copied().take(room).collect();
        room -= query.len();
        classes.push(PlannedClass {
            label: None,
            support: Vec::new(),
            unlabelled: Vec::new(),
            query,
            ..other.clone()
        });
    }
    EpisodePlan {
        classes,
        query_changes: Vec::new(),
        ..plan.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_count_that_are_shown_with_their_label() {
        let class = |class: usize, label, n_support: usize, n_unlabelled: usize| PlannedClass {
            class,
            number: class,
            label,
            quarter_turns: 0,
            mirrored: false,
            augmentation: None,
            support: (0..n_support).collect(),
            unlabelled: (0..n_unlabelled).collect(),
            query: Vec::new(),
        };
        let plan = EpisodePlan {
            ways: 5,
            classes: vec![
                class(0, Some(0), 3, 1),
                class(1, Some(1), 2, 0),
                class(2, None, 0, 4),
            ],
            removed: Vec::new(),
            support_changes: Vec::new(),
            query_changes: Vec::new(),
        };
        assert_eq!(labelled(&plan), 5);
        let second = (0..10).map(|at| at == 1).collect();
        assert_eq!(
            labelled(&EpisodePlan {
                removed: second,
                ..plan
            }),
            4
        );
    }
}
