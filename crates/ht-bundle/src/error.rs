//! What can go wrong between a bundle in memory and its files.

use std::path::{Path, PathBuf};

use ht_files::FileError;

/// An error of a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file or folder that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder that is no bundle, or a damaged one.
    #[error("{path}: {cause}")]
    Damaged {
        /// The file that does not fit.
        path: PathBuf,
        /// What is wrong, and what was expected.
        cause: String,
    },
    /// Values that make no bundle.
    #[error("{field}: {cause}")]
    Value {
        /// The field, as in the manifest.
        field: String,
        /// What is wrong, and what was expected.
        cause: String,
    },
}

impl BundleError {
    pub(crate) fn file(action: &'static str, path: &Path, cause: impl std::fmt::Display) -> Self {
        Self::File(FileError::new(action, path, cause))
    }

    pub(crate) fn damaged(path: &Path, cause: impl std::fmt::Display) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            cause: cause.to_string(),
        }
    }

    pub(crate) fn value(field: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Value {
            field: field.into(),
            cause: cause.to_string(),
        }
    }
}
