//! The plan of an episode: which images, in which role, and what is done to them. Indices and
//! drawn numbers, no pixels.

use serde::{Deserialize, Serialize};

use crate::{DrawnAugmentation, DrawnJitter, DrawnPhoto, Orientation};

/// One class of an episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedClass {
    /// Index of the class in the image set.
    pub class: usize,
    /// Its number among the classes that the episode was drawn from, where turned and mirrored
    /// copies count as classes: those of its split, or the list of
    /// [`plan_among`](crate::EpisodeSampler::plan_among).
    #[serde(default)]
    pub number: usize,
    /// Its label in this episode; none for a distractor.
    pub label: Option<usize>,
    /// Counter-clockwise quarter turns of all its images.
    pub quarter_turns: u8,
    /// Whether its images are mirrored before they are turned.
    #[serde(default)]
    pub mirrored: bool,
    /// What else is done to all its images, in training.
    pub augmentation: Option<DrawnAugmentation>,
    /// Images shown with their label.
    pub support: Vec<usize>,
    /// Images shown without it.
    pub unlabelled: Vec<usize>,
    /// Images to be classified.
    pub query: Vec<usize>,
}

/// The images of one episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpisodePlan {
    /// N: the most classes an episode of this kind has; labels are below it.
    pub ways: usize,
    /// The classes with a label, in order of the labels, then the distractors.
    pub classes: Vec<PlannedClass>,
    /// For each support sample, in the order of [`support`](Self::support), whether it is
    /// removed at random; empty where none is.
    pub removed: Vec<bool>,
    /// What is done to each support sample, in the same order; empty where nothing is.
    pub support_changes: Vec<ImageChange>,
    /// What is done to each query image, in the order of [`query`](Self::query); likewise.
    pub query_changes: Vec<ImageChange>,
}

/// What is done to one image alone, in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageChange {
    /// Turn, slant, size and shift.
    pub jitter: Option<DrawnJitter>,
    /// Flip, colours and crop.
    pub photo: Option<DrawnPhoto>,
}

/// One image of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlannedImage {
    /// Index of the class in the image set.
    pub class: usize,
    /// Its number among the classes of its split.
    pub number: usize,
    /// Index of the image in the class.
    pub image: usize,
    /// Counter-clockwise quarter turns.
    pub quarter_turns: u8,
    /// Whether it is mirrored before it is turned.
    pub mirrored: bool,
    /// What else is done to it, with all images of its class.
    pub augmentation: Option<DrawnAugmentation>,
    /// The label it is shown with or must be given; none for an unlabelled sample.
    pub label: Option<usize>,
}

impl PlannedImage {
    /// How it stands.
    pub fn orientation(&self) -> Orientation {
        Orientation {
            mirrored: self.mirrored,
            quarter_turns: self.quarter_turns,
        }
    }
}

impl EpisodePlan {
    /// The support samples: class by class the labelled ones, then class by class the
    /// unlabelled ones.
    pub fn support(&self) -> impl Iterator<Item = PlannedImage> {
        let labelled = self
            .classes
            .iter()
            .flat_map(|class| class.images(&class.support, class.label));
        let unlabelled = self
            .classes
            .iter()
            .flat_map(|class| class.images(&class.unlabelled, None));
        labelled.chain(unlabelled)
    }

    /// The query images, class by class.
    pub fn query(&self) -> impl Iterator<Item = PlannedImage> {
        self.classes
            .iter()
            .flat_map(|class| class.images(&class.query, class.label))
    }

    /// Whether a class of this episode has the label.
    pub fn has_label(&self, label: usize) -> bool {
        self.classes.iter().any(|class| class.label == Some(label))
    }
}

impl PlannedClass {
    fn images<'a>(
        &self,
        images: &'a [usize],
        label: Option<usize>,
    ) -> impl Iterator<Item = PlannedImage> + use<'a> {
        let Self {
            class,
            number,
            quarter_turns,
            mirrored,
            augmentation,
            ..
        } = *self;
        images.iter().map(move |&image| PlannedImage {
            class,
            number,
            image,
            quarter_turns,
            mirrored,
            augmentation,
            label,
        })
    }
}
