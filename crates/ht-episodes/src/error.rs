//! What can go wrong between a file on disk and an episode.
//!
//! Each message names the file, class or key and what was expected, so that the
//! binary can print it as it is.

use std::path::PathBuf;

use ht_files::FileError;

/// An error of the data side.
#[derive(Debug, thiserror::Error)]
pub enum EpisodeError {
    /// A file or folder could not be read.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system or the decoder said.
        cause: String,
    },
    /// No data set where one was expected.
    #[error("no data set {name} in {path}: expected {expected}")]
    MissingDataSet {
        /// The data set's name.
        name: &'static str,
        /// The folder that was searched.
        path: PathBuf,
        /// The layouts that would have been accepted.
        expected: &'static str,
    },
    /// A data set is read from a folder, but none was given.
    #[error("the data set {name} is read from files: name its folder with --data DIR")]
    NoDataFolder {
        /// The data set's name.
        name: &'static str,
    },
    /// A class of another image shape than its set, or without images.
    #[error("class {class}: {cause}")]
    BadClass {
        /// The class name.
        class: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A class has fewer images than one episode takes from it.
    #[error(
        "class {class} has {images} images{role}, but an episode takes {needed} \
         (shots {shots}, queries {queries}, unlabelled {unlabelled}): \
         lower episodes.shots, queries or unlabelled.per_class"
    )]
    TooFewImages {
        /// The class name.
        class: String,
        /// Of which images, if not of all: `" in its labelled part"`.
        role: &'static str,
        /// Images it has.
        images: usize,
        /// Images an episode takes.
        needed: usize,
        /// Support images per class.
        shots: usize,
        /// Query images per class.
        queries: usize,
        /// Unlabelled support images per class.
        unlabelled: usize,
    },
    /// A split has fewer classes than the episode has ways.
    #[error(
        "the {split} split has {classes} classes, but episodes.ways is {ways}, with \
         {distractors} distractors: lower episodes.ways or give the split more classes"
    )]
    TooFewClasses {
        /// The split's name.
        split: &'static str,
        /// Classes it has, rotated copies counted.
        classes: usize,
        /// Ways of the episodes.
        ways: usize,
        /// Further classes without a label.
        distractors: usize,
    },
    /// A split that cannot be made, or a key of it that makes no sense.
    #[error("split: {0}")]
    BadSplit(String),
    /// Episodes that an episode list cannot hold.
    #[error("episode list: {0}")]
    BadList(String),
    /// An augmentation that cannot be drawn.
    #[error("episodes.augmentation.{0}")]
    BadAugmentation(String),
    /// A change of single images that is out of range.
    #[error("episodes.jitter.{key} is {value}, expected 0 to {most}")]
    BadJitter {
        /// Which number.
        key: &'static str,
        /// Its value.
        value: f32,
        /// The most it can be.
        most: f32,
    },
    /// A number that an episode cannot have.
    #[error("{key} is {value}, expected {expected}")]
    BadNumber {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        value: usize,
        /// What it should be.
        expected: &'static str,
    },
    /// An option that unbalanced episodes do not have.
    #[error(
        "{other} cannot be combined with episodes.balance = \"unbalanced\", which deals one draw \
         of labelled images to the support and the query set"
    )]
    NotUnbalanced {
        /// The other configuration key.
        other: &'static str,
    },
    /// A share or probability out of range.
    #[error("{key} is {value}, expected a number between 0 and 1")]
    BadShare {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        value: f64,
    },
}

impl EpisodeError {
    pub(crate) fn unreadable(path: impl Into<PathBuf>, cause: impl std::fmt::Display) -> Self {
        Self::Unreadable {
            path: path.into(),
            cause: cause.to_string(),
        }
    }
}

impl From<FileError> for EpisodeError {
    fn from(error: FileError) -> Self {
        Self::unreadable(error.path, error.cause)
    }
}
