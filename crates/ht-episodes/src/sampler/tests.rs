//! Laws of the sampler: balanced, disjoint, repeatable, and errors for what is impossible.

mod mixed;

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
fn sizes_whose_sums_are_no_numbers_are_too_large_too() {
    let images = images(60, 12);
    let config = SplitConfig::Seed {
        seed: 0,
        validation: 6,
        test: 20,
    };
    let split = ClassSplit::new(&config, &images).expect("enough classes");
    let size = |shots, queries, per_class, distractors| EpisodeSpec {
        unlabelled: Unlabelled {
            per_class,
            distractors,
        },
        ..EpisodeSpec::new(5, shots, queries)
    };
    let whole_class = EpisodeSpec {
        query_pool: QueryPool::WholeClass,
        ..size(usize::MAX, 1, 1, 0)
    };
    let divided = EpisodeSpec {
        division: Some(Division {
            labelled: 0.5,
            seed: 0,
        }),
        ..size(usize::MAX, 2, 0, 0)
    };
    let images_of_class = "images, but an episode takes";
    for (spec, expected) in [
        (size(usize::MAX, 2, 0, 0), images_of_class),
        (size(usize::MAX - 1, 1, 2, 0), images_of_class),
        (size(1, 1, usize::MAX, 0), images_of_class),
        (whole_class, images_of_class),
        (divided, "in its labelled part"),
        (size(1, 1, 1, usize::MAX), "distractors"),
    ] {
        let sampler = EpisodeSampler::new(images.clone(), split.clone(), spec, ClassRotation::None);
        let error = sampler.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
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
    // Each copy of a training class has a number of its own.
    let numbers = |split| -> HashSet<(usize, usize, u8)> {
        (0..50)
            .flat_map(|index| sampler.plan(1, split, index).classes)
            .map(|planned| (planned.number, planned.class, planned.quarter_turns))
            .collect()
    };
    for split in [Split::Train, Split::Test] {
        let n_classes = sampler.n_classes(split);
        assert_eq!(numbers(split).len(), n_classes);
        let distinct: HashSet<usize> = numbers(split).into_iter().map(|(n, ..)| n).collect();
        assert_eq!(distinct, (0..n_classes).collect());
    }
    let plans: Vec<_> = (0..2)
        .map(|index| sampler.plan(1, Split::Train, index))
        .collect();
    let batch = collate(sampler.images(), &plans).to_device(&burn::tensor::Device::flex());
    let classes: Vec<i64> = batch.support_classes.iter().collect();
    let of_plans = plans.iter().flat_map(EpisodePlan::support);
    assert_eq!(
        classes,
        of_plans
            .map(|image| image.number as i64)
            .collect::<Vec<_>>()
    );
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
fn an_episode_can_be_drawn_among_some_classes() {
    let sampler = sampler(EpisodeSpec::new(5, 1, 2));
    let all = sampler.classes(Split::Train);
    let few = &all[..7];
    for index in 0..20 {
        let plan = sampler.plan_among(few, 3, Split::Test, index);
        assert_eq!(plan.classes.len(), 5);
        let drawn: HashSet<usize> = plan.classes.iter().map(|class| class.class).collect();
        assert_eq!(drawn.len(), 5);
        assert!(drawn.iter().all(|class| few.contains(class)), "{drawn:?}");
    }
    // Among the classes of a split it is an episode of the split.
    let test = sampler.classes(Split::Test);
    let among = sampler.plan_among(test, 3, Split::Test, 1);
    assert_eq!(among, sampler.plan(3, Split::Test, 1));
}
