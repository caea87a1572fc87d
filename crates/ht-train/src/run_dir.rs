//! A run: one directory with config, metrics and checkpoints, from which it can be repeated.
//!
//! ```text
//! runs/quickstart/
//!   config.toml      the resolved experiment
//!   run.json         what it ran on: data folder, device, version
//!   metrics.jsonl    one line per measurement
//!   checkpoints/     the last two
//!   best/            the best by validation
//!   result.json      the final test
//!   test.jsonl       the same, episode by episode
//!   lock             held while a process uses the run
//! ```

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoint::{folder_name, remove_folder, write_synced};
use crate::{ExperimentConfig, StartPart, TrainError, TrainReport};

const RESULT: &str = "result.json";
/// Checkpoints that are kept for a resume.
const KEEP: usize = 2;

/// What a run ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Folder of the data set, if it is not built in.
    pub data: Option<PathBuf>,
    /// Name of the device.
    pub device: String,
    /// Version of this program.
    pub version: String,
    /// Processor and cores, for whoever reads how long it took.
    #[serde(default)]
    pub machine: Option<String>,
    /// The checkpoint whose parameters it started from, if not from random ones.
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// What it took from there; none stands for all.
    #[serde(default)]
    pub start_part: Option<StartPart>,
}

/// A run directory, locked while this value lives.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Starts a run in a new or empty folder.
    ///
    /// # Errors
    /// A folder that holds anything, or cannot be written.
    pub fn create(
        path: &Path,
        config: &ExperimentConfig,
        info: &RunInfo,
    ) -> Result<Self, TrainError> {
        Self::check_free(path)?;
        fs::create_dir_all(path).map_err(|cause| TrainError::file("create", path, cause))?;
        let mut entries =
            fs::read_dir(path).map_err(|cause| TrainError::file("read", path, cause))?;
        if entries.next().is_some() {
            return Err(TrainError::NotARun {
                path: path.to_owned(),
            });
        }
        let run = Self::lock(path)?;
        let info = serde_json::to_string_pretty(info)
            .map_err(|cause| TrainError::file("write", path, cause))?;
        write_synced(&path.join("run.json"), info.as_bytes())?;
        write_synced(&path.join("config.toml"), config.to_toml().as_bytes())?;
        Ok(run)
    }

    /// Takes back a run that could not begin. It holds nothing yet, so nothing is lost; what
    /// cannot be removed stays.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(&self.path);
    }

    /// Asks whether a new run could start here, before anything is made or read for it.
    ///
    /// # Errors
    /// A folder that already holds a run.
    pub fn check_free(path: &Path) -> Result<(), TrainError> {
        if !path.join("config.toml").exists() {
            return Ok(());
        }
        let name = Self::config(path)
            .map_or_else(|_| "an unreadable config".to_owned(), |config| config.name);
        Err(TrainError::RunExists {
            path: path.to_owned(),
            name,
        })
    }

    /// Opens a run to go on with it.
    ///
    /// # Errors
    /// A folder without a run, or one in use.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        if !path.join("config.toml").exists() {
            return Err(TrainError::NoRun {
                path: path.to_owned(),
            });
        }
        Self::lock(path)
    }

    fn lock(path: &Path) -> Result<Self, TrainError> {
        let file = path.join("lock");
        let lock = File::create(&file).map_err(|cause| TrainError::file("write", &file, cause))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(TrainError::Locked {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(cause)) => Err(TrainError::file("lock", &file, cause)),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The experiment of a run.
    ///
    /// # Errors
    /// A folder without a run, or with a damaged config.
    pub fn config(path: &Path) -> Result<ExperimentConfig, TrainError> {
        let file = path.join("config.toml");
        if !file.exists() {
            return Err(TrainError::NoRun {
                path: path.to_owned(),
            });
        }
        ExperimentConfig::load(&file, &[])
    }

    /// What a run ran on.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub fn info(path: &Path) -> Result<RunInfo, TrainError> {
        let file = path.join("run.json");
        let text =
            fs::read_to_string(&file).map_err(|cause| TrainError::file("read", &file, cause))?;
        serde_json::from_str(&text).map_err(|cause| TrainError::file("read", &file, cause))
    }

    /// The best checkpoint by validation, or the last one where none was validated.
    ///
    /// # Errors
    /// A run without checkpoints.
    pub fn best_checkpoint(path: &Path) -> Result<PathBuf, TrainError> {
        let newest = |folder: &str| checkpoints_in(&path.join(folder)).into_iter().next();
        newest("best")
            .or_else(|| newest("checkpoints"))
            .ok_or_else(|| TrainError::NoRun {
                path: path.to_owned(),
            })
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    pub(crate) fn best(&self) -> PathBuf {
        self.path.join("best")
    }

    pub(crate) fn metrics(&self) -> PathBuf {
        Self::metrics_of(&self.path)
    }

    /// The metrics of a run that is not open.
    pub fn metrics_of(path: &Path) -> PathBuf {
        path.join("metrics.jsonl")
    }

    /// The result of a run, if it is finished.
    ///
    /// # Errors
    /// A damaged file.
    pub fn report(path: &Path) -> Result<Option<TrainReport>, TrainError> {
        let file = path.join(RESULT);
        if !file.exists() {
            return Ok(None);
        }
        let text =
            fs::read_to_string(&file).map_err(|cause| TrainError::file("read", &file, cause))?;
        let report =
            serde_json::from_str(&text).map_err(|cause| TrainError::file("read", &file, cause))?;
        Ok(Some(report))
    }

    /// The final test, episode by episode.
    pub fn records(&self) -> PathBuf {
        Self::records_of(&self.path)
    }

    /// The same of a run that is not open.
    pub fn records_of(path: &Path) -> PathBuf {
        path.join("test.jsonl")
    }

    pub(crate) fn result(&self) -> PathBuf {
        self.path.join(RESULT)
    }

    /// Removes the checkpoints of a folder that are of a later step than `step`.
    pub(crate) fn forget_after(folder: &Path, step: u64) -> Result<(), TrainError> {
        let last = folder.join(folder_name(step));
        checkpoints_in(folder)
            .iter()
            .filter(|checkpoint| **checkpoint > last)
            .try_for_each(|later| remove_folder(later))
    }

    /// Removes all but the newest checkpoints of a folder.
    pub(crate) fn prune(folder: &Path, keep: Keep) -> Result<(), TrainError> {
        let n_kept = match keep {
            Keep::ForResume => KEEP,
            Keep::Newest => 1,
        };
        checkpoints_in(folder)
            .iter()
            .skip(n_kept)
            .try_for_each(|old| remove_folder(old))
    }
}

/// How many checkpoints a folder keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// Two: if one is damaged, the other one serves.
    ForResume,
    /// One.
    Newest,
}

/// Whole checkpoints of a folder, newest first. Half-written ones have another name.
pub(crate) fn checkpoints_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("step-"))
        })
        .collect();
    found.sort();
    found.reverse();
    found
}
