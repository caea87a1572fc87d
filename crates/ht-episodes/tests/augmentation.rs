//! Augmentation is drawn with the plan: for training episodes, the same every time.

use std::sync::Arc;

use burn::tensor::Device;
use ht_episodes::{
    ClassRotation, ClassSplit, EpisodeAugmentation, EpisodeSampler, EpisodeSpec, ImageClass,
    ImageJitter, ImageSet, ImageShape, PhotoAugmentation, PlannedImage, Split, SplitConfig,
    collate, normalize_pixel, quarter_turn,
};

/// `each` classes for validation, as many for the test, the others for training.
fn split(set: &ImageSet, each: usize) -> ClassSplit {
    let config = SplitConfig::Seed {
        seed: 0,
        validation: each,
        test: each,
    };
    ClassSplit::new(&config, set).expect("enough classes")
}

#[test]
fn training_images_are_augmented_and_test_images_are_not() {
    let shape = ImageShape {
        channels: 3,
        height: 6,
        width: 6,
    };
    let class = |class: u8| ImageClass {
        name: format!("c{class}"),
        pixels: (0..8 * shape.len())
            .map(|i| (i * 7 + usize::from(class)) as u8)
            .collect(),
        official: None,
    };
    let set = ImageSet::new(shape, (0..9).map(class).collect()).expect("images");
    let set = Arc::new(set);
    let split = split(&set, 3);
    let plain = EpisodeSpec::new(3, 2, 3);
    let augmentation = EpisodeAugmentation {
        roll_probability: 1.0,
        negate_probability: 1.0,
        per_class: true,
        ..EpisodeAugmentation::default()
    };
    let specs = [
        plain,
        EpisodeSpec {
            augmentation: Some(augmentation),
            ..plain
        },
        EpisodeSpec {
            photo: Some(PhotoAugmentation { individually: true }),
            ..plain
        },
        EpisodeSpec {
            jitter: Some(ImageJitter {
                turn: 20.0,
                slant: 0.2,
                size: 0.2,
                shift: 0.1,
            }),
            ..plain
        },
    ];
    let samplers = specs.map(|spec| {
        let rotation = ClassRotation::None;
        EpisodeSampler::new(Arc::clone(&set), split.clone(), spec, rotation).expect("possible")
    });
    let batch = |sampler: &EpisodeSampler, part| {
        let plan = sampler.plan(4, part, 2);
        collate(&set, std::slice::from_ref(&plan))
    };
    for sampler in &samplers[1..] {
        assert_ne!(
            batch(sampler, Split::Train),
            batch(&samplers[0], Split::Train)
        );
        assert_eq!(batch(sampler, Split::Train), batch(sampler, Split::Train));
        assert_eq!(
            batch(sampler, Split::Test),
            batch(&samplers[0], Split::Test)
        );
    }
    // Support and query images of a class share what was drawn for it.
    let plan = samplers[1].plan(4, Split::Train, 2);
    assert!(
        plan.classes
            .iter()
            .all(|class| class.augmentation.is_some())
    );
    let drawn = |image: PlannedImage| (image.label, image.augmentation);
    for query in plan.query().map(drawn) {
        assert!(plan.support().map(drawn).any(|support| support == query));
    }
    // Jitter is drawn for each image.
    let plan = samplers[3].plan(4, Split::Train, 2);
    let changes = plan.support_changes.iter().chain(&plan.query_changes);
    let turns: Vec<_> = changes
        .map(|change| change.jitter.expect("drawn").turn)
        .collect();
    assert_eq!(turns.len(), 3 * (2 + 3));
    assert!((1..turns.len()).all(|at| !turns[..at].contains(&turns[at])));

    let shape = ImageShape {
        channels: 1,
        ..shape
    };
    let class = |class: u8| ImageClass {
        name: format!("c{class}"),
        pixels: vec![class; 8 * shape.len()],
        official: None,
    };
    let grey = ImageSet::new(shape, (0..9).map(class).collect()).expect("images");
    let grey = EpisodeSampler::new(grey.into(), split, specs[2], ClassRotation::None)
        .expect_err("one channel");
    assert!(grey.to_string().contains("episodes.photo"), "{grey}");
}

#[test]
fn a_mirrored_class_is_mirrored_and_then_turned() {
    let shape = ImageShape {
        channels: 1,
        height: 2,
        width: 2,
    };
    let class = |class: u8| ImageClass {
        name: format!("c{class}"),
        pixels: [1, 2, 3, 4].repeat(4),
        official: None,
    };
    let set = Arc::new(ImageSet::new(shape, (0..6).map(class).collect()).expect("images"));
    let split = split(&set, 2);
    let spec = EpisodeSpec::new(2, 1, 1);
    let rotation = ClassRotation::AsClassesWithMirrors;
    let sampler = EpisodeSampler::new(Arc::clone(&set), split, spec, rotation).expect("possible");
    let device = Device::flex();
    let mut seen = std::collections::BTreeSet::new();
    for index in 0..60 {
        let mut plan = sampler.plan(1, Split::Train, index);
        plan.classes.truncate(1);
        let planned = &plan.classes[0];
        let pixels: Vec<u8> = vec![1, 2, 3, 4];
        let expected = if planned.mirrored {
            vec![2, 1, 4, 3]
        } else {
            pixels
        };
        let expected = quarter_turn(&expected, shape, planned.quarter_turns);
        seen.insert(expected.clone());
        let shown = collate(&set, std::slice::from_ref(&plan)).to_device(&device);
        let shown: Vec<f32> = shown.query.images.into_data().iter().collect();
        let expected: Vec<f32> = expected.into_iter().map(normalize_pixel).collect();
        assert_eq!(shown, expected);
    }
    assert_eq!(seen.len(), 8);
}
