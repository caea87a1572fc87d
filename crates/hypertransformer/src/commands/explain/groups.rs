//! Groups of classes, such as the alphabets of Omniglot: what stands before the first `/` of a
//! class's name. Episodes whose classes are all of one group show whether weights follow it.

use std::collections::BTreeMap;

use ht_episodes::{EpisodePlan, Split};
use ht_train::Experiment;

/// More are not told apart by their colours.
const MOST_GROUPS: usize = 8;

/// The group of a class, if its name has one.
pub(super) fn group_of(class_name: &str) -> Option<&str> {
    class_name.split_once('/').map(|(group, _)| group)
}

/// Episodes of one group each.
pub(super) struct GroupedEpisodes {
    /// Names of the groups.
    pub(super) groups: Vec<String>,
    /// The episodes, a group's after another's.
    pub(super) plans: Vec<EpisodePlan>,
    /// The group of each episode.
    pub(super) of: Vec<usize>,
}

/// The groups with at least `needed` classes, largest first, and their classes.
fn large_groups<'a>(
    classes: impl Iterator<Item = (usize, &'a str)>,
    needed: usize,
) -> Vec<(&'a str, Vec<usize>)> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (class, name) in classes {
        if let Some(group) = group_of(name) {
            groups.entry(group).or_default().push(class);
        }
    }
    let mut groups: Vec<_> = groups
        .into_iter()
        .filter(|(_, classes)| classes.len() >= needed)
        .collect();
    groups.sort_by_key(|(_, classes)| std::cmp::Reverse(classes.len()));
    groups
}

/// About `n_episodes` episodes out of the largest groups, as many of each; none where less than
/// two groups have the classes of an episode. Classes of all splits count: those of the test
/// alone are too few in one group.
pub(super) fn grouped_episodes(
    experiment: &Experiment,
    n_episodes: u64,
) -> Option<GroupedEpisodes> {
    let sampler = &experiment.evaluation_sampler;
    let images = sampler.images();
    let spec = sampler.spec();
    let needed = spec.ways + spec.unlabelled.distractors;
    let classes = Split::ALL
        .into_iter()
        .flat_map(|part| sampler.classes(part))
        .map(|&class| (class, images.class_name(class)));
    let mut groups = large_groups(classes, needed);
    groups.truncate(MOST_GROUPS);
    if groups.len() < 2 {
        return None;
    }
    let of_each = n_episodes.div_ceil(groups.len() as u64);
    let seed = experiment.config.evaluation.seed;
    let mut plans = Vec::new();
    let mut of = Vec::new();
    for (group, (_, classes)) in groups.iter().enumerate() {
        for index in 0..of_each {
            let index = group as u64 * of_each + index;
            plans.push(sampler.plan_among(classes, seed, Split::Test, index));
            of.push(group);
        }
    }
    Some(GroupedEpisodes {
        groups: groups.iter().map(|(name, _)| (*name).to_owned()).collect(),
        plans,
        of,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_what_stands_before_the_slash() {
        assert_eq!(group_of("Greek/character01"), Some("Greek"));
        assert_eq!(group_of("n01532829"), None);
    }

    #[test]
    fn large_groups_come_first_and_small_ones_not_at_all() {
        let names = ["a/1", "b/1", "b/2", "b/3", "c/1", "c/2", "alone"];
        let groups = large_groups(names.into_iter().enumerate(), 2);
        assert_eq!(groups, [("b", vec![1, 2, 3]), ("c", vec![4, 5])]);
    }
}
