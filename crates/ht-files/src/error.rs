//! The one error of files: what was tried, on which file, and what came of it.

use std::path::{Path, PathBuf};

/// A file or folder that could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action} {path}: {cause}")]
pub struct FileError {
    /// `read`, `write`, ..
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the system said, or what was found and expected.
    pub cause: String,
}

impl FileError {
    /// An error with its cause, [`clipped`].
    pub fn new(action: &'static str, path: &Path, cause: impl std::fmt::Display) -> Self {
        Self {
            action,
            path: path.to_owned(),
            cause: clipped(&cause.to_string()),
        }
    }
}

/// The first 1500 characters: a message can quote what it found, which may have any length.
pub fn clipped(text: &str) -> String {
    match text.char_indices().nth(1500) {
        Some((end, _)) => format!("{} ..", &text[..end]),
        None => text.to_owned(),
    }
}
