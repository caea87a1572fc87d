//! Draws episodes: from (seed, split, index) to a plan, without any state in between.

use std::sync::Arc;

use rand::RngExt;
use rand::seq::index;

use crate::{
    ClassRotation, ClassSplit, EpisodeError, EpisodePlan, EpisodeSpec, ImageSet, PlannedClass,
    Split, random,
};

/// Draws the episodes of one size from one image set.
#[derive(Clone, Debug)]
pub struct EpisodeSampler {
    images: Arc<ImageSet>,
    split: ClassSplit,
    spec: EpisodeSpec,
    rotation: ClassRotation,
}

impl EpisodeSampler {
    /// A sampler over all splits of an image set.
    ///
    /// Everything that could make an episode impossible is an error here, so that
    /// [`plan`](Self::plan) cannot fail. `rotation` applies to the training split;
    /// validation and test episodes show the classes as they are.
    ///
    /// # Errors
    /// Fewer classes than ways in a split, or a class with fewer images than shots + queries.
    pub fn new(
        images: Arc<ImageSet>,
        split: ClassSplit,
        spec: EpisodeSpec,
        rotation: ClassRotation,
    ) -> Result<Self, EpisodeError> {
        spec.check()?;
        let shape = images.shape();
        if rotation != ClassRotation::None && shape.height != shape.width {
            return Err(EpisodeError::BadNumber {
                key: "image width",
                value: shape.width,
                expected: "the image height, since episodes.rotation turns images by 90 degrees",
            });
        }
        let sampler = Self {
            images,
            split,
            spec,
            rotation,
        };
        for part in Split::ALL {
            sampler.check_split(part)?;
        }
        Ok(sampler)
    }

    fn check_split(&self, part: Split) -> Result<(), EpisodeError> {
        let n_classes = self.split.classes(part).len() * self.copies(part);
        if n_classes < self.spec.ways {
            return Err(EpisodeError::TooFewClasses {
                split: part.name(),
                classes: n_classes,
                ways: self.spec.ways,
            });
        }
        let needed = self.spec.shots + self.spec.queries;
        for &class in self.split.classes(part) {
            let images = self.images.n_images(class);
            if images < needed {
                return Err(EpisodeError::TooFewImages {
                    class: self.images.class_name(class).to_owned(),
                    images,
                    needed,
                    shots: self.spec.shots,
                    queries: self.spec.queries,
                });
            }
        }
        Ok(())
    }

    /// Classes that each class of a split counts for.
    fn copies(&self, part: Split) -> usize {
        match self.rotation_in(part) {
            ClassRotation::AsClasses => 4,
            ClassRotation::None | ClassRotation::PerEpisode => 1,
        }
    }

    fn rotation_in(&self, part: Split) -> ClassRotation {
        match part {
            Split::Train => self.rotation,
            Split::Validation | Split::Test => ClassRotation::None,
        }
    }

    /// The image set that the plans point into.
    pub fn images(&self) -> &Arc<ImageSet> {
        &self.images
    }

    /// The size of the episodes.
    pub fn spec(&self) -> EpisodeSpec {
        self.spec
    }

    /// Episode `index` of a split: a pure function of its arguments.
    ///
    /// Classes are drawn without replacement and in random order (their order is their
    /// label), images of a class without replacement, so support and query are disjoint.
    pub fn plan(&self, seed: u64, split: Split, index: u64) -> EpisodePlan {
        let mut rng = random::stream(seed, "episode", split as u64, index);
        let classes = self.split.classes(split);
        let copies = self.copies(split);
        let EpisodeSpec {
            ways,
            shots,
            queries,
        } = self.spec;
        let chosen = index::sample(&mut rng, classes.len() * copies, ways);
        let classes = chosen
            .into_iter()
            .map(|choice| {
                let class = classes[choice / copies];
                let quarter_turns = match self.rotation_in(split) {
                    ClassRotation::None => 0,
                    ClassRotation::PerEpisode => rng.random_range(0..4u8),
                    ClassRotation::AsClasses => (choice % copies) as u8,
                };
                let n_images = self.images.n_images(class);
                let images = index::sample(&mut rng, n_images, shots + queries).into_vec();
                let (support, query) = images.split_at(shots);
                PlannedClass {
                    class,
                    quarter_turns,
                    support: support.to_vec(),
                    query: query.to_vec(),
                }
            })
            .collect();
        EpisodePlan { classes }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{ImageClass, ImageShape, SplitConfig, collate};

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
            let sampler = sampler(EpisodeSpec { ways, shots, queries });
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
            let spec = EpisodeSpec { ways: 5, shots: 2, queries: 3 };
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
        let sampler = sampler(EpisodeSpec {
            ways: 5,
            shots: 1,
            queries: 1,
        });
        let labels_of_one_class: HashSet<_> = (0..400)
            .filter_map(|index| {
                let plan = sampler.plan(0, Split::Test, index);
                let class = sampler.split.classes(Split::Test)[0];
                plan.classes.iter().position(|c| c.class == class)
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
            let spec = EpisodeSpec {
                ways,
                shots,
                queries: 3,
            };
            let error = EpisodeSampler::new(images, split, spec, ClassRotation::None)
                .expect_err("impossible");
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
        let spec = EpisodeSpec {
            ways: 2,
            shots: 1,
            queries: 1,
        };
        let rotation = ClassRotation::AsClasses;
        let sampler =
            EpisodeSampler::new(images, split, spec, rotation).expect("one class is four");
        let turns = |split| -> HashSet<u8> {
            (0..50)
                .flat_map(|index| sampler.plan(1, split, index).classes)
                .map(|planned| planned.quarter_turns)
                .collect()
        };
        assert_eq!(turns(Split::Train).len(), 4);
        assert_eq!(turns(Split::Test), HashSet::from([0]));
    }
}
