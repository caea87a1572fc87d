//! Draws episodes: from (seed, split, index) to a plan, without any state in between.

use std::sync::Arc;

use rand::RngExt;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;

use crate::{
    ClassBalance, ClassRotation, ClassSplit, EpisodeError, EpisodePlan, EpisodeSpec, ImageChange,
    ImageSet, Irregular, PlannedClass, QueryPool, Removal, Split, Unlabelled, random,
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
    /// - A size that no episode has, or options that exclude each other (the message names the key).
    /// - Fewer classes than ways and distractors in a split.
    /// - A class with fewer images, or with fewer in one part of its division, than an episode takes.
    /// - A rotation of images that are not square, photo augmentation of images without colours.
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
        if spec.photo.is_some() && shape.channels != 3 {
            return Err(EpisodeError::BadNumber {
                key: "image channels",
                value: shape.channels,
                expected: "3, since episodes.photo changes colours",
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
        let spec = &self.spec;
        let n_classes = self.n_classes(part);
        let distractors = spec.unlabelled.distractors;
        if n_classes < spec.ways.saturating_add(distractors) {
            return Err(EpisodeError::TooFewClasses {
                split: part.name(),
                classes: n_classes,
                ways: spec.ways,
                distractors,
            });
        }
        let per_class = spec.unlabelled.per_class;
        for &class in self.split.classes(part) {
            let n_images = self.images.n_images(class);
            let n_labelled = spec
                .division
                .map_or(n_images, |division| division.n_labelled(n_images));
            let of_labelled = spec.n_labelled_images();
            let too_few = |role, images, needed| EpisodeError::TooFewImages {
                class: self.images.class_name(class).to_owned(),
                role,
                images,
                needed,
                shots: spec.shots,
                queries: spec.queries,
                unlabelled: per_class,
            };
            if spec.division.is_none() {
                let needed = match spec.query_pool {
                    QueryPool::Disjoint => of_labelled.saturating_add(per_class),
                    QueryPool::WholeClass => spec.queries.max(spec.shots.saturating_add(per_class)),
                };
                if n_images < needed {
                    return Err(too_few("", n_images, needed));
                }
            } else {
                if n_labelled < of_labelled {
                    return Err(too_few(" in its labelled part", n_labelled, of_labelled));
                }
                let n_other = n_images - n_labelled;
                if n_other < per_class {
                    return Err(too_few(" in its unlabelled part", n_other, per_class));
                }
            }
        }
        Ok(())
    }

    /// Number of classes of a split; turned and mirrored copies of training classes are classes
    /// where the rotation says so.
    pub fn n_classes(&self, part: Split) -> usize {
        self.split.classes(part).len() * self.copies(part)
    }

    /// Indices into the image set of the classes of a split.
    pub fn classes(&self, part: Split) -> &[usize] {
        self.split.classes(part)
    }

    /// Classes that each class of a split counts for.
    fn copies(&self, part: Split) -> usize {
        match self.rotation_in(part) {
            ClassRotation::AsClasses => 4,
            ClassRotation::AsClassesWithMirrors => 8,
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
    /// Classes are drawn without replacement and in random order, which gives them their
    /// labels; images of a class without replacement, so support, unlabelled and query
    /// images are disjoint (unless [`QueryPool::WholeClass`] says otherwise).
    pub fn plan(&self, seed: u64, split: Split, index: u64) -> EpisodePlan {
        self.plan_among(self.split.classes(split), seed, split, index)
    }

    /// The same with classes out of a list in place of the split's, so that an episode can be
    /// drawn from related classes; whatever else depends on the split stays the split's.
    ///
    /// `classes` must be [classes](Self::classes) of this sampler, and at least as many as an
    /// episode takes: ways and distractors.
    pub fn plan_among(
        &self,
        classes: &[usize],
        seed: u64,
        split: Split,
        index: u64,
    ) -> EpisodePlan {
        let mut rng = random::stream(seed, "episode", split as u64, index);
        let copies = self.copies(split);
        let spec = &self.spec;
        let labels = self.labels(&mut rng);
        let n_distractors = spec.unlabelled.distractors;
        let chosen = index::sample(
            &mut rng,
            classes.len() * copies,
            labels.len() + n_distractors,
        );
        let labels = labels
            .into_iter()
            .map(Some)
            .chain(std::iter::repeat_n(None, n_distractors));
        let mut classes: Vec<PlannedClass> = chosen
            .into_iter()
            .zip(labels)
            .map(|(choice, label)| {
                let class = classes[choice / copies];
                let quarter_turns = match self.rotation_in(split) {
                    ClassRotation::None => 0,
                    ClassRotation::PerEpisode => rng.random_range(0..4u8),
                    ClassRotation::AsClasses | ClassRotation::AsClassesWithMirrors => {
                        (choice % 4) as u8
                    }
                };
                let planned = self.plan_class(class, label, quarter_turns, &mut rng);
                PlannedClass {
                    number: choice,
                    mirrored: choice % copies >= 4,
                    ..planned
                }
            })
            .collect();
        if spec.balance == ClassBalance::Unbalanced {
            deal_again(&mut classes, &mut rng);
        }
        let mut plan = EpisodePlan {
            ways: spec.ways,
            classes,
            removed: Vec::new(),
            support_changes: Vec::new(),
            query_changes: Vec::new(),
        };
        if split == Split::Train {
            self.augment(&mut plan, &mut rng);
        }
        plan
    }

    /// Adds to a training episode what is removed from it and done to its images.
    fn augment(&self, plan: &mut EpisodePlan, rng: &mut ChaCha8Rng) {
        let spec = &self.spec;
        if spec.removal != Removal::default() {
            plan.removed = removed(spec.removal, plan, rng);
        }
        if let Some(augmentation) = spec.augmentation {
            let drawn = augmentation.draw_episode(plan.classes.len(), rng);
            for (class, drawn) in plan.classes.iter_mut().zip(drawn) {
                class.augmentation = Some(drawn);
            }
        }
        if spec.photo.is_some() || spec.jitter.is_some() {
            plan.support_changes = self.changes(plan.support().count(), rng);
            plan.query_changes = self.changes(plan.query().count(), rng);
        }
    }

    /// What is done to each of `n` images alone.
    fn changes(&self, n: usize, rng: &mut ChaCha8Rng) -> Vec<ImageChange> {
        let mut changes = vec![ImageChange::default(); n];
        if let Some(photo) = self.spec.photo {
            for (change, drawn) in changes.iter_mut().zip(photo.draw(n, rng)) {
                change.photo = Some(drawn);
            }
        }
        if let Some(jitter) = self.spec.jitter {
            for (change, drawn) in changes.iter_mut().zip(jitter.draw(n, rng)) {
                change.jitter = Some(drawn);
            }
        }
        changes
    }

    /// The labels of an episode, in order: all of them, or as many as it has ways.
    fn labels(&self, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let EpisodeSpec {
            ways, irregular, ..
        } = self.spec;
        let Some(Irregular {
            min_ways, max_ways, ..
        }) = irregular
        else {
            return (0..ways).collect();
        };
        let drawn = rng.random_range(min_ways..=max_ways.unwrap_or(ways));
        let mut labels = index::sample(rng, ways, drawn).into_vec();
        labels.sort_unstable();
        labels
    }

    fn plan_class(
        &self,
        class: usize,
        label: Option<usize>,
        quarter_turns: u8,
        rng: &mut ChaCha8Rng,
    ) -> PlannedClass {
        let EpisodeSpec {
            shots,
            queries,
            query_pool,
            unlabelled: Unlabelled { per_class, .. },
            irregular,
            ..
        } = self.spec;
        let (n_shots, n_queries) = match (label, irregular) {
            (None, _) => (0, 0),
            (Some(_), None) => (shots, queries),
            (Some(_), Some(Irregular { min_shots, .. })) => {
                (rng.random_range(min_shots..=shots), queries)
            }
        };
        let mut draw = |pool: &Pool, n: usize| -> Vec<usize> {
            let positions = index::sample(rng, pool.len(), n);
            positions.into_iter().map(|at| pool.image(at)).collect()
        };
        let (labelled, other) = self.pools(class);
        let n_disjoint = match query_pool {
            QueryPool::Disjoint => n_shots + n_queries,
            QueryPool::WholeClass => n_shots,
        };
        let (mut support, unlabelled) = match other {
            None => {
                let mut images = draw(&labelled, n_disjoint + per_class);
                let unlabelled = images.split_off(n_disjoint);
                (images, unlabelled)
            }
            Some(other) => (draw(&labelled, n_disjoint), draw(&other, per_class)),
        };
        let query = match query_pool {
            QueryPool::Disjoint => support.split_off(n_shots),
            QueryPool::WholeClass => draw(&labelled, n_queries),
        };
        PlannedClass {
            class,
            number: 0,
            label,
            quarter_turns,
            mirrored: false,
            augmentation: None,
            support,
            unlabelled,
            query,
        }
    }

    /// The images of a class that may be labelled, and those that may not, if there is a
    /// division.
    fn pools(&self, class: usize) -> (Pool, Option<Pool>) {
        let n_images = self.images.n_images(class);
        let Some(division) = self.spec.division else {
            return (Pool::All(n_images), None);
        };
        let mut images: Vec<usize> = (0..n_images).collect();
        images.shuffle(&mut random::stream(
            division.seed,
            "division",
            class as u64,
            0,
        ));
        let other = images.split_off(division.n_labelled(n_images));
        (Pool::Some(images), Some(Pool::Some(other)))
    }
}

/// Images of one class to draw from.
enum Pool {
    /// The first n, which are all of them.
    All(usize),
    /// These.
    Some(Vec<usize>),
}

impl Pool {
    fn len(&self) -> usize {
        match self {
            Self::All(n_images) => *n_images,
            Self::Some(images) => images.len(),
        }
    }

    fn image(&self, at: usize) -> usize {
        match self {
            Self::All(_) => at,
            Self::Some(images) => images[at],
        }
    }
}

/// Deals the labelled images of all classes together to as large a support set and query set.
fn deal_again(classes: &mut [PlannedClass], rng: &mut ChaCha8Rng) {
    let n_support = classes.iter().map(|class| class.support.len()).sum();
    let mut images: Vec<(usize, usize)> = Vec::new();
    for (at, class) in classes.iter_mut().enumerate() {
        let drawn = class.support.drain(..).chain(class.query.drain(..));
        images.extend(drawn.map(|image| (at, image)));
    }
    images.shuffle(rng);
    for (position, (at, image)) in images.into_iter().enumerate() {
        let class = &mut classes[at];
        if position < n_support {
            class.support.push(image);
        } else {
            class.query.push(image);
        }
    }
}

/// Which support samples of a plan are removed (see [`Removal`]).
fn removed(removal: Removal, plan: &EpisodePlan, rng: &mut ChaCha8Rng) -> Vec<bool> {
    let mut up_to = |largest: f64| largest * rng.random::<f64>();
    let (labelled, unlabelled) = (up_to(removal.labelled), up_to(removal.unlabelled));
    plan.support()
        .map(|sample| {
            let probability = if sample.label.is_some() {
                labelled
            } else {
                unlabelled
            };
            rng.random::<f64>() < probability
        })
        .collect()
}

#[cfg(test)]
mod tests;
