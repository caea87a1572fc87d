//! A run: one directory with config, metrics and checkpoints, from which it can be repeated.
//!
//! ```text
//! runs/quickstart/
//!   config.toml      the resolved experiment
//!   run.json         what it ran on: data folder, devices, version
//!   metrics.jsonl    one line per measurement
//!   checkpoints/     the last two
//!   best/            the best by validation, and those that the last two speak of
//!   result.json      the final test
//!   test.jsonl       the same, episode by episode
//!   lock             held while a process uses the run
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, config_of_today, folder_name};
use crate::{Experiment, ExperimentConfig, StartPart, TrainError, TrainReport};
use ht_files::{
    bounded,
    durable::{self, remove_folder},
};

const RESULT: &str = "result.json";
/// Stands between places.
const THEN: &str = ", then ";
/// Checkpoints that are kept for a resume.
const KEEP: usize = 2;

/// What a run ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Folder of the data set, if it is not built in.
    pub data: Option<PathBuf>,
    /// Name of the device; of several, one after another, where a run went on elsewhere.
    pub device: String,
    /// Version of this program.
    pub version: String,
    /// Processor and cores, for whoever reads how long it took; of several likewise.
    #[serde(default)]
    pub machine: Option<String>,
    /// SHA-256 of the images of all classes, so that a run goes on with those that it began with.
    #[serde(default)]
    pub data_sha256: Option<String>,
    /// The checkpoint whose parameters it started from, if not from random ones.
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// What it took from there; none stands for all.
    #[serde(default)]
    pub start_part: Option<StartPart>,
}

/// Places one after another, as a run was there.
fn then(before: &str, now: &str) -> String {
    match before.rsplit(THEN).next() {
        Some(last) if last == now => before.to_owned(),
        _ => format!("{before}{THEN}{now}"),
    }
}

/// A run directory, locked while this value lives.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Makes the directory of a run in a new or empty folder, or in one where an earlier process
    /// was stopped before the run had begun. It becomes a run by [`begin`](Self::begin).
    ///
    /// # Errors
    /// A folder that holds anything else, or cannot be written.
    pub fn create(path: &Path, info: &RunInfo) -> Result<Self, TrainError> {
        Self::check_free(path)?;
        durable::create_folder(path)?;
        let entries = fs::read_dir(path).map_err(|cause| TrainError::file("read", path, cause))?;
        // Checkpoints without a word on the run are somebody else's.
        let has_info = path.join("run.json").exists();
        let is_ours = |name: &str| {
            ["lock", "run.json"].contains(&name)
                || (has_info && name == "checkpoints")
                || durable::is_leftover(name)
        };
        let mut names = entries.flatten().map(|entry| entry.file_name());
        if !names.all(|name| is_ours(&name.to_string_lossy())) {
            return Err(TrainError::NotARun {
                path: path.to_owned(),
            });
        }
        let run = Self::lock(path)?;
        remove_folder(&run.checkpoints())?;
        run.write_info(info)?;
        Ok(run)
    }

    /// From now on it is a run, which can be resumed: everything that it starts from is there.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn begin(&self, config: &ExperimentConfig) -> Result<(), TrainError> {
        let text = config.to_toml();
        Ok(durable::replace_file(
            &self.path.join("config.toml"),
            text.as_bytes(),
        )?)
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
        // Its path stands in its report.
        if path.to_str().is_none() {
            let cause = "its path is no UTF-8, expected a folder with a plain name";
            return Err(TrainError::file("write", path, cause));
        }
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
            Ok(()) => {
                let run = Self {
                    path: path.to_owned(),
                    _lock: lock,
                };
                for folder in [path, &run.checkpoints(), &run.best()] {
                    durable::settle_all(folder)?;
                }
                Ok(run)
            }
            Err(TryLockError::WouldBlock) => Err(TrainError::Locked {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(cause)) => Err(TrainError::file("lock", &file, cause)),
        }
    }

    /// Refuses other images than those that the run began with: another list of classes is
    /// another split, and classes that it was trained on could stand in its test.
    ///
    /// # Errors
    /// Other images, or a folder without a run.
    pub fn check_data(path: &Path, experiment: &Experiment) -> Result<(), TrainError> {
        match Self::info(path)?.data_sha256 {
            Some(begun_with) if begun_with != experiment.data_digest() => {
                Err(TrainError::DataChanged {
                    path: path.to_owned(),
                })
            }
            _ => Ok(()),
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
        let text = bounded::read_text(&file, bounded::SMALL_FILE)?;
        let place = file.display().to_string();
        ExperimentConfig::parse(&config_of_today(&text), &place, &[])
    }

    /// What a run ran on.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub fn info(path: &Path) -> Result<RunInfo, TrainError> {
        let file = path.join("run.json");
        let text = bounded::read_text(&file, bounded::SMALL_FILE)?;
        serde_json::from_str(&text).map_err(|cause| TrainError::file("read", &file, cause))
    }

    /// Notes that a run goes on on a device and a machine, if those are not what it was on last.
    ///
    /// # Errors
    /// A folder that cannot be read or written.
    pub fn goes_on(&self, device: &str, machine: &str) -> Result<(), TrainError> {
        let info = Self::info(&self.path)?;
        let now = RunInfo {
            device: then(&info.device, device),
            machine: Some(then(info.machine.as_deref().unwrap_or("unknown"), machine)),
            ..info.clone()
        };
        if now == info {
            return Ok(());
        }
        self.write_info(&now)
    }

    fn write_info(&self, info: &RunInfo) -> Result<(), TrainError> {
        let file = self.path.join("run.json");
        let text = serde_json::to_string_pretty(info)
            .map_err(|cause| TrainError::file("write", &file, cause))?;
        Ok(durable::replace_file(&file, text.as_bytes())?)
    }

    /// The best checkpoint by validation that is whole, or the last one where none was validated.
    /// `skipped` hears of damaged ones.
    ///
    /// # Errors
    /// A run without checkpoints, or with none that is whole.
    pub fn best_checkpoint(
        path: &Path,
        skipped: &mut dyn FnMut(&TrainError),
    ) -> Result<PathBuf, TrainError> {
        let mut first_error = None;
        if !path.is_dir() {
            let path = path.to_owned();
            return Err(TrainError::NoRun { path });
        }
        let mut folders = checkpoints_in(&path.join("best"))?;
        folders.extend(checkpoints_in(&path.join("checkpoints"))?);
        for folder in folders {
            match checkpoint::verify(&folder) {
                Ok(_) => return Ok(folder),
                Err(error @ TrainError::NewerCheckpoint { .. }) => return Err(error),
                Err(error) => {
                    skipped(&error);
                    first_error.get_or_insert(error);
                }
            }
        }
        let path = path.to_owned();
        Err(match first_error {
            Some(error) => TrainError::NoneLeft {
                path,
                cause: error.to_string(),
            },
            None => TrainError::NoRun { path },
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
        let text = bounded::read_text(&file, bounded::SMALL_FILE)?;
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
        for later in checkpoints_in(folder)? {
            if later > last {
                remove_folder(&later)?;
            }
        }
        Ok(())
    }

    /// Removes the checkpoints that nobody needs any more: all but the last two, and of the best
    /// ones those that are neither the newest nor what the last two call the best.
    pub(crate) fn prune(&self) -> Result<(), TrainError> {
        let checkpoints = checkpoints_in(&self.checkpoints())?;
        for old in checkpoints.iter().skip(KEEP) {
            remove_folder(old)?;
        }
        let infos = checkpoints.iter().take(KEEP);
        let needed: Vec<PathBuf> = infos
            .filter_map(|folder| checkpoint::read_info(folder).ok()?.best)
            .map(|best| self.best().join(folder_name(best.step)))
            .collect();
        for old in checkpoints_in(&self.best())?.iter().skip(1) {
            if !needed.contains(old) {
                remove_folder(old)?;
            }
        }
        Ok(())
    }
}

/// Whole checkpoints of a folder, newest first; none where there is no folder. Half-written ones
/// have another name.
///
/// # Errors
/// A folder that cannot be read.
pub(crate) fn checkpoints_in(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let fail = |cause: io::Error| TrainError::file("read", folder, cause);
    let entries = match fs::read_dir(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        if entry.file_name().to_string_lossy().starts_with("step-") {
            found.push(entry.path());
        }
    }
    found.sort();
    found.reverse();
    Ok(found)
}

#[cfg(test)]
mod tests;
