//! The plan of an episode: which images, in which role. Indices only, no pixels.

use serde::{Deserialize, Serialize};

/// One class of an episode; its position in the plan is its label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlannedClass {
    /// Index of the class in the image set.
    pub class: usize,
    /// Counter-clockwise quarter turns of all its images.
    pub quarter_turns: u8,
    /// Images shown with their label.
    pub support: Vec<usize>,
    /// Images to be classified; none of them is in `support`.
    pub query: Vec<usize>,
}

/// The images of one episode. Label n is the n-th class.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EpisodePlan {
    /// N classes, in the random order that gives them their labels.
    pub classes: Vec<PlannedClass>,
}
