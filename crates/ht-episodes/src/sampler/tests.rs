//! Laws of the sampler: balanced, disjoint, repeatable, and errors for what is impossible.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::{Division, ImageClass, ImageShape, SplitConfig, collate};

/// Every pixel tells which class and image it is.
fn images(n_classes: usize, n_images: usize) -> Arc<ImageSet> {
    let shape = ImageShape {
        channels: 1,
        height: 1,
        width: 2,
    };
    let class = |class: usize| ImageClass {
        name: format!("c{class}"),
        pixels: (0..n_images)
            .flat_map(|image| [class as u8, image as u8])
            .collect(),
        official: None,
    };
    let classes = (0..n_classes).map(class).collect();
    Arc::new(ImageSet::new(shape, classes).expect("images in every class"))
}

fn sampler(spec: EpisodeSpec) -> EpisodeSampler {
    let images = images(60, 12);
    let config = SplitConfig::Seed {
        seed: 5,
        validation: 20,
        test: 20,
    };
    let split = ClassSplit::new(&config, &images).expect("enough classes");
    EpisodeSampler::new(images, split, spec, ClassRotation::None).expect("possible episodes")
}

proptest! {
    #[test]
    fn an_episode_is_balanced_disjoint_and_repeatable(
        ways in 2..20usize, shots in 1..6usize, queries in 1..6usize,
        seed: u64, index: u64, part in 0..3usize,
    ) {
        let sampler = sampler(EpisodeSpec::new(ways, shots, queries));
        let split = Split::ALL[part];
        let plan = sampler.plan(seed, split, index);
        prop_assert_eq!(&plan, &sampler.plan(seed, split, index));
        prop_assert_eq!(plan.classes.len(), ways);
        let classes: HashSet<_> = plan.classes.iter().map(|c| c.class).collect();
        prop_assert_eq!(classes.len(), ways);
        for planned in &plan.classes {
            prop_assert!(sampler.split.classes(split).contains(&planned.class));
            prop_assert_eq!(planned.support.len(), shots);
            prop_assert_eq!(planned.query.len(), queries);
            let all: HashSet<_> = planned.support.iter().chain(&planned.query).collect();
            prop_assert_eq!(all.len(), shots + queries);
        }
    }

    #[test]
    fn pixels_and_labels_stay_together(seed: u64, index: u64) {
        let spec = EpisodeSpec::new(5, 2, 3);
        let sampler = sampler(spec);
        let plan = sampler.plan(seed, Split::Train, index);
        let device = burn::tensor::Device::flex();
        let batch = collate(sampler.images(), std::slice::from_ref(&plan)).to_device(&device);
        let pixels = batch.query.images.try_into_vec_as::<f32>().expect("f32");
        let labels = batch.query.labels.into_data().iter::<i64>().collect::<Vec<_>>();
        prop_assert_eq!(labels.len(), 15);
        for (label, pixels) in labels.into_iter().zip(pixels.chunks(2)) {
            let planned = &plan.classes[label as usize];
            let byte = |value: f32| ((value + 1.0) * 128.0) as usize;
            prop_assert_eq!(byte(pixels[0]), planned.class);
            prop_assert!(planned.query.contains(&byte(pixels[1])));
        }
    }
}

#[test]
fn labels_are_given_at_random() {
    let sampler = sampler(EpisodeSpec::new(5, 1, 1));
    let labels_of_one_class: HashSet<_> = (0..400)
        .filter_map(|index| {
            let plan = sampler.plan(0, Split::Test, index);
            let class = sampler.split.classes(Split::Test)[0];
            plan.classes
                .iter()
                .find(|c| c.class == class)
                .map(|c| c.label)
        })
        .collect();
    assert_eq!(labels_of_one_class.len(), 5);
}

#[test]
fn impossible_episodes_say_why() {
    let check = |ways, shots, expected: &str| {
        let images = images(60, 12);
        let config = SplitConfig::Seed {
            seed: 0,
            validation: 6,
            test: 20,
        };
        let split = ClassSplit::new(&config, &images).expect("enough classes");
        let spec = EpisodeSpec::new(ways, shots, 3);
        let error =
            EpisodeSampler::new(images, split, spec, ClassRotation::None).expect_err("impossible");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(7, 1, "validation split has 6 classes");
    check(5, 10, "has 12 images, but an episode takes 13");
    check(1, 1, "episodes.ways is 1");
    check(5, 0, "episodes.shots is 0");
}

#[test]
fn turned_classes_count_four_times_in_training_only() {
    let shape = ImageShape {
        channels: 1,
        height: 2,
        width: 2,
    };
    let class = |name: &str| ImageClass {
        name: name.to_owned(),
        pixels: vec![0; 8],
        official: None,
    };
    let classes = ["a", "b", "c", "d", "e"].map(class).to_vec();
    let images = Arc::new(ImageSet::new(shape, classes).expect("images"));
    let config = SplitConfig::Seed {
        seed: 0,
        validation: 2,
        test: 2,
    };
    let split = ClassSplit::new(&config, &images).expect("enough classes");
    let spec = EpisodeSpec::new(2, 1, 1);
    let rotation = ClassRotation::AsClasses;
    let sampler = EpisodeSampler::new(images, split, spec, rotation).expect("one class is four");
    let turns = |split| -> HashSet<u8> {
        (0..50)
            .flat_map(|index| sampler.plan(1, split, index).classes)
            .map(|planned| planned.quarter_turns)
            .collect()
    };
    assert_eq!(turns(Split::Train).len(), 4);
    assert_eq!(turns(Split::Test), HashSet::from([0]));
}

#[test]
fn mirrored_classes_are_classes_too() {
    let sampler = EpisodeSampler {
        rotation: ClassRotation::AsClassesWithMirrors,
        ..sampler(EpisodeSpec::new(3, 1, 2))
    };
    let seen = |split| -> HashSet<(u8, bool)> {
        (0..100)
            .flat_map(|index| sampler.plan(1, split, index).classes)
            .map(|planned| (planned.quarter_turns, planned.mirrored))
            .collect()
    };
    assert_eq!(seen(Split::Train).len(), 8);
    assert_eq!(seen(Split::Test), HashSet::from([(0, false)]));
}

#[test]
fn regular_episodes_stay_what_they_were() {
    // Written down once: a change here would silently change every published episode.
    let plan = sampler(EpisodeSpec::new(3, 1, 2)).plan(1, Split::Test, 4);
    let drawn: Vec<_> = plan
        .classes
        .iter()
        .map(|c| (c.class, c.support.clone(), c.query.clone()))
        .collect();
    assert_eq!(
        drawn,
        [
            (9, vec![1], vec![0, 6]),
            (18, vec![5], vec![7, 2]),
            (30, vec![0], vec![9, 1]),
        ]
    );
}

fn mixed() -> EpisodeSpec {
    EpisodeSpec {
        unlabelled: Unlabelled {
            per_class: 3,
            distractors: 2,
        },
        irregular: Some(Irregular {
            min_ways: 2,
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
fn the_released_samplers_queries_can_be_support_images() {
    let spec = EpisodeSpec {
        query_pool: QueryPool::WholeClass,
        ..EpisodeSpec::new(5, 5, 10)
    };
    let sampler = sampler(spec);
    let planned: Vec<_> = (0..100)
        .flat_map(|index| sampler.plan(0, Split::Train, index).classes)
        .collect();
    let shared = planned
        .iter()
        .flat_map(|c| c.query.iter().filter(|image| c.support.contains(image)))
        .count();
    // Five of twelve images are support images.
    let share = shared as f64 / (planned.len() * 10) as f64;
    assert!((share - 5.0 / 12.0).abs() < 0.02, "{share}");
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
            min_shots,
        }),
        ..base
    };
    check(irregular(6, 1), "min_ways is 6");
    check(irregular(2, 0), "min_shots is 0");
}
