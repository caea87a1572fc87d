//! What can go wrong between a config file and a finished run.

use std::path::{Path, PathBuf};

use ht_baselines::BaselineError;
use ht_cnn::CnnError;
use ht_episodes::EpisodeError;
use ht_files::{FileError, clipped};
use ht_generator::GeneratorError;

/// An error of training, evaluation or of their files.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Data or episodes.
    #[error(transparent)]
    Episode(#[from] EpisodeError),
    /// Geometry of the CNN.
    #[error(transparent)]
    Cnn(#[from] CnnError),
    /// Sizes of the generator.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// Numbers of a baseline.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// A config file, or an override of one of its keys.
    #[error("{place}: {cause}")]
    Config {
        /// File or override.
        place: String,
        /// What is wrong, and what was expected.
        cause: String,
    },
    /// A file that could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A checkpoint that is not what its manifest says.
    #[error("damaged checkpoint {path}: {cause}")]
    Checkpoint {
        /// Its folder.
        path: PathBuf,
        /// What does not fit.
        cause: String,
    },
    /// A run directory that already holds a run.
    #[error(
        "{path} already holds a run of {name}: continue it with --resume, or name another \
         folder with --run"
    )]
    RunExists {
        /// The run directory.
        path: PathBuf,
        /// The experiment in it.
        name: String,
    },
    /// A folder that is not empty, but no run either.
    #[error("{path} is not empty and holds no run: name another folder with --run")]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// A run directory without a run.
    #[error("no run in {path}: expected config.toml and checkpoints")]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process uses the run directory.
    #[error("{path} is in use by another process")]
    Locked {
        /// The run directory.
        path: PathBuf,
    },
    /// A resume under another configuration.
    #[error("{path} was started with another configuration; these keys differ: {keys}")]
    ConfigChanged {
        /// The run directory.
        path: PathBuf,
        /// The keys with both values.
        keys: String,
    },
    /// A run and other images than it began with.
    #[error(
        "{path} was begun with other images: expected the data set as it was then, with all its \
         classes, or a new run"
    )]
    DataChanged {
        /// The run directory.
        path: PathBuf,
    },
    /// Two tests that cannot be compared episode by episode.
    #[error(
        "the two were measured on other episodes or data ({ours} and {theirs}): evaluate both on one list \
         with --episodes-from, or with as many episodes of one seed"
    )]
    OtherEpisodes {
        /// SHA-256 over the episodes of one.
        ours: String,
        /// SHA-256 over those of the other.
        theirs: String,
    },
    /// A checkpoint from the future.
    #[error(
        "checkpoint {path} has format {format}, written by a newer version of this program; this \
         one reads format {known}"
    )]
    NewerCheckpoint {
        /// Its folder.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// Checkpoints that are all damaged.
    #[error(
        "none of the checkpoints in {path} can be used, so the run cannot go on; of the newest: \
         {cause}"
    )]
    NoneLeft {
        /// Their folder.
        path: PathBuf,
        /// What is wrong with the newest.
        cause: String,
    },
    /// A run that had checkpoints and has none any more.
    #[error(
        "no checkpoint is left in {path}, but the run has {found}: expected its checkpoints, \
         without which it would begin again and lose what it has; name another folder with --run \
         for a new run"
    )]
    CheckpointsLost {
        /// Their folder.
        path: PathBuf,
        /// What shows that there were some.
        found: String,
    },
    /// A whole checkpoint whose parameters do not fit an experiment.
    #[error("checkpoint {path} is of another method or size: {cause}")]
    OtherMethod {
        /// Its folder.
        path: PathBuf,
        /// What does not fit.
        cause: String,
    },
    /// A step whose numbers have gone wrong.
    #[error(
        "{cause} at step {step}; training episodes of seed {seed} that are so: {episodes}. Lower \
         schedule.learning_rate, set training.gradient_clip, or go on with --resume \
         --skip-bad-steps; the last checkpoint is kept"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// What is wrong.
        cause: String,
        /// With the indices, what the episodes are drawn from.
        seed: u64,
        /// Indices of the episodes.
        episodes: String,
    },
    /// Parameters that would make a checkpoint nobody can use.
    #[error(
        "the parameters are not finite after step {step}: lower schedule.learning_rate or set \
         training.gradient_clip; the last checkpoint is kept"
    )]
    NoNumbers {
        /// Steps so far.
        step: u64,
    },
}

impl TrainError {
    pub(crate) fn file(action: &'static str, path: &Path, cause: impl std::fmt::Display) -> Self {
        Self::File(FileError::new(action, path, cause))
    }

    pub(crate) fn checkpoint(path: &Path, cause: impl std::fmt::Display) -> Self {
        Self::Checkpoint {
            path: path.to_owned(),
            cause: clipped(&cause.to_string()),
        }
    }
}
