//! Laws of episodes that are not all alike: unlabelled images, distractors, a division, unequal
//! and unbalanced classes, removal.

use super::*;

fn mixed() -> EpisodeSpec {
    EpisodeSpec {
        unlabelled: Unlabelled {
            per_class: 3,
            distractors: 2,
        },
        irregular: Some(Irregular {
            min_ways: 2,
            max_ways: None,
            min_shots: 1,
        }),
        removal: Removal {
            labelled: 0.5,
            unlabelled: 0.9,
        },
        ..EpisodeSpec::new(5, 3, 2)
    }
}

proptest! {
    #[test]
    fn support_unlabelled_and_query_images_never_overlap(
        seed: u64, index: u64, part in 0..3usize, divided: bool,
    ) {
        let division = divided.then_some(Division { labelled: 0.6, seed: 3 });
        let spec = EpisodeSpec { division, ..mixed() };
        let sampler = sampler(spec);
        let split = Split::ALL[part];
        let plan = sampler.plan(seed, split, index);
        let classes: HashSet<_> = plan.classes.iter().map(|c| c.class).collect();
        prop_assert_eq!(classes.len(), plan.classes.len());
        let labels: HashSet<_> = plan.classes.iter().filter_map(|c| c.label).collect();
        prop_assert_eq!(labels.len() + 2, plan.classes.len());
        prop_assert!((2..=5).contains(&labels.len()) && labels.iter().all(|&l| l < 5));
        for planned in &plan.classes {
            let (k, q) = (planned.support.len(), planned.query.len());
            prop_assert_eq!(planned.unlabelled.len(), 3);
            if planned.label.is_some() {
                prop_assert!((1..=3).contains(&k) && q == 2);
            } else {
                prop_assert!(k == 0 && q == 0);
            }
            let images = [&planned.support, &planned.unlabelled, &planned.query];
            let all: HashSet<_> = images.into_iter().flatten().collect();
            prop_assert_eq!(all.len(), k + 3 + q);
        }
        prop_assert_eq!(plan.removed.is_empty(), split != Split::Train);
        prop_assert_eq!(&plan, &sampler.plan(seed, split, index));
    }

    #[test]
    fn small_episodes_use_any_of_the_labels(seed: u64, index: u64) {
        let irregular = Irregular { min_ways: 2, max_ways: Some(2), min_shots: 3 };
        let spec = EpisodeSpec { irregular: Some(irregular), ..EpisodeSpec::new(5, 3, 2) };
        let plan = sampler(spec).plan(seed, Split::Test, index);
        prop_assert_eq!((plan.ways, plan.classes.len()), (5, 2));
        prop_assert_eq!((0..5).filter(|&label| plan.has_label(label)).count(), 2);
        prop_assert!(plan.classes.iter().all(|class| class.support.len() == 3));
    }

    #[test]
    fn unbalanced_episodes_deal_one_draw_to_both_sets(seed: u64, index: u64, part in 0..3usize) {
        let balance = ClassBalance::Unbalanced;
        let sampler = sampler(EpisodeSpec { balance, ..EpisodeSpec::new(5, 2, 3) });
        let plan = sampler.plan(seed, Split::ALL[part], index);
        prop_assert_eq!(plan.support().count(), 10);
        prop_assert_eq!(plan.query().count(), 15);
        for planned in &plan.classes {
            let both: HashSet<_> = planned.support.iter().chain(&planned.query).collect();
            prop_assert_eq!(both.len(), 5);
            prop_assert_eq!(planned.support.len() + planned.query.len(), 5);
        }
        prop_assert_eq!(&plan, &sampler.plan(seed, Split::ALL[part], index));
    }

    #[test]
    fn a_batch_of_unequal_episodes_is_padded(seed: u64) {
        let sampler = sampler(mixed());
        let plans: Vec<_> = (0..4).map(|i| sampler.plan(seed, Split::Train, i)).collect();
        let n_support = plans.iter().map(|plan| plan.support().count()).max().unwrap_or(0);
        let batch = collate(sampler.images(), &plans);
        let n_query: usize = plans.iter().map(|plan| plan.query().count()).sum();
        prop_assert_eq!(batch.n_query(), n_query);
        let support = batch.to_device(&burn::tensor::Device::flex()).support;
        prop_assert_eq!(support.labels.dims(), [4, n_support]);
        let labels: Vec<i64> = support.labels.into_data().iter().collect();
        let hidden: Vec<bool> = match support.hidden {
            Some(hidden) => hidden.into_data().iter().collect(),
            None => vec![false; labels.len()],
        };
        for (e, plan) in plans.iter().enumerate() {
            for (at, sample) in plan.support().enumerate() {
                let label = sample.label.map_or(5, |label| label as i64);
                prop_assert_eq!(labels[e * n_support + at], label);
                prop_assert_eq!(hidden[e * n_support + at], plan.removed[at]);
            }
            let padding = plan.support().count()..n_support;
            prop_assert!(padding.clone().all(|at| hidden[e * n_support + at]));
            prop_assert!(padding.into_iter().all(|at| labels[e * n_support + at] == 5));
        }
    }
}

#[test]
fn a_division_is_the_same_in_every_episode() {
    let division = Some(Division {
        labelled: 0.5,
        seed: 1,
    });
    let spec = EpisodeSpec {
        division,
        ..EpisodeSpec {
            unlabelled: Unlabelled {
                per_class: 2,
                distractors: 0,
            },
            ..EpisodeSpec::new(5, 2, 2)
        }
    };
    let sampler = sampler(spec);
    let mut labelled = HashSet::new();
    let mut unlabelled = HashSet::new();
    for index in 0..200 {
        for planned in sampler.plan(0, Split::Train, index).classes {
            let shown = planned.support.iter().chain(&planned.query);
            labelled.extend(shown.map(|&image| (planned.class, image)));
            unlabelled.extend(
                planned
                    .unlabelled
                    .iter()
                    .map(|&image| (planned.class, image)),
            );
        }
    }
    assert!(labelled.is_disjoint(&unlabelled));
    assert!(labelled.len() > 100 && unlabelled.len() > 100);
}

#[test]
fn removal_is_drawn_with_a_probability_up_to_the_largest() {
    let spec = EpisodeSpec {
        irregular: None,
        ..mixed()
    };
    let sampler = sampler(spec);
    let (mut labelled, mut unlabelled) = ((0, 0), (0, 0));
    for index in 0..400 {
        let plan = sampler.plan(0, Split::Train, index);
        for (sample, &removed) in plan.support().zip(&plan.removed) {
            let counts = if sample.label.is_some() {
                &mut labelled
            } else {
                &mut unlabelled
            };
            counts.0 += usize::from(removed);
            counts.1 += 1;
        }
    }
    let share = |(removed, all): (usize, usize)| removed as f64 / all as f64;
    assert!((share(labelled) - 0.25).abs() < 0.03, "{labelled:?}");
    assert!((share(unlabelled) - 0.45).abs() < 0.04, "{unlabelled:?}");
}

#[test]
fn impossible_mixtures_say_why() {
    let check = |spec: EpisodeSpec, expected: &str| {
        let images = images(60, 12);
        let config = SplitConfig::Seed {
            seed: 0,
            validation: 20,
            test: 20,
        };
        let split = ClassSplit::new(&config, &images).expect("enough classes");
        let error =
            EpisodeSampler::new(images, split, spec, ClassRotation::None).expect_err("impossible");
        assert!(error.to_string().contains(expected), "{error}");
    };
    let base = EpisodeSpec::new(5, 2, 3);
    let unlabelled = |per_class, distractors| Unlabelled {
        per_class,
        distractors,
    };
    let with = |unlabelled| EpisodeSpec { unlabelled, ..base };
    check(with(unlabelled(8, 0)), "takes 13");
    check(with(unlabelled(1, 16)), "with 16 distractors");
    check(with(unlabelled(0, 1)), "episodes.unlabelled.per_class is 0");
    let divided = |labelled| EpisodeSpec {
        division: Some(Division { labelled, seed: 0 }),
        ..with(unlabelled(4, 0))
    };
    check(divided(0.3), "4 images in its labelled part");
    check(divided(0.9), "1 images in its unlabelled part");
    check(divided(1.5), "episodes.division.labelled is 1.5");
    let irregular = |min_ways, min_shots| EpisodeSpec {
        irregular: Some(Irregular {
            min_ways,
            max_ways: Some(4),
            min_shots,
        }),
        ..base
    };
    check(
        irregular(5, 1),
        "min_ways is 5, expected 2 to the most ways",
    );
    check(irregular(2, 0), "min_shots is 0");
    let unbalanced = |spec| EpisodeSpec {
        balance: ClassBalance::Unbalanced,
        ..spec
    };
    check(
        unbalanced(irregular(2, 1)),
        "episodes.irregular cannot be combined",
    );
    check(
        unbalanced(with(unlabelled(1, 0))),
        "episodes.unlabelled cannot",
    );
}

#[test]
fn unbalanced_classes_have_any_number_of_shots() {
    let spec = EpisodeSpec {
        balance: ClassBalance::Unbalanced,
        ..EpisodeSpec::new(5, 2, 3)
    };
    let sampler = sampler(spec);
    let plans = (0..200).map(|index| sampler.plan(3, Split::Train, index));
    let mut seen = [0; 6];
    for class in plans.flat_map(|plan| plan.classes) {
        seen[class.support.len()] += 1;
    }
    // Hypergeometric: 10 of 25 images, 5 of them of this class.
    let expected = [56.5, 256.9, 385.4, 237.1, 59.3, 4.7];
    for (n_shots, (seen, expected)) in seen.into_iter().zip(expected).enumerate() {
        let spread = 4.0 * f64::sqrt(expected);
        assert!(
            (f64::from(seen) - expected).abs() < spread,
            "{n_shots}: {seen} of {expected}"
        );
    }
}
