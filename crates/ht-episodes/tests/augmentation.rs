//! Augmentation is drawn with the plan: for training episodes, the same every time.

use std::sync::Arc;

use ht_episodes::{
    ClassRotation, ClassSplit, EpisodeAugmentation, EpisodeSampler, EpisodeSpec, ImageClass,
    ImageSet, ImageShape, PhotoAugmentation, PlannedImage, Split, SplitConfig, collate,
};

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
    let config = SplitConfig::Seed {
        seed: 0,
        validation: 3,
        test: 3,
    };
    let split = ClassSplit::new(&config, &set).expect("enough classes");
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
