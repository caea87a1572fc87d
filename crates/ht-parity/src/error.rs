//! What can go wrong with files of the released code.

use std::path::{Path, PathBuf};

use ht_cnn::CnnError;
use ht_generator::GeneratorError;
use ht_train::TrainError;

/// An error of a comparison or an import.
#[derive(Debug, thiserror::Error)]
pub enum ParityError {
    /// A file that is not what it should be.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        cause: String,
    },
    /// No recorded case in a folder.
    #[error("no recorded case in {0}: expected NAME.safetensors with NAME.json")]
    NoCases(PathBuf),
    /// A flag of the released code that has no counterpart.
    #[error("flag {flag} = {value}: {cause}")]
    Flag {
        /// Its name.
        flag: &'static str,
        /// Its value.
        value: String,
        /// Why it cannot be used.
        cause: &'static str,
    },
    /// A variable whose name or shape fits no parameter.
    #[error("variable {name}: {cause}")]
    Variable {
        /// Its TensorFlow name or role.
        name: String,
        /// What does not fit.
        cause: String,
    },
    /// The CNN that the flags describe cannot be built.
    #[error(transparent)]
    Cnn(#[from] CnnError),
    /// The generator that the flags describe cannot be built.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// A run directory could not be written.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl ParityError {
    pub(crate) fn file(path: &Path, cause: &dyn ToString) -> Self {
        Self::File {
            path: path.to_owned(),
            cause: cause.to_string(),
        }
    }

    pub(crate) fn variable(name: &str, cause: impl Into<String>) -> Self {
        Self::Variable {
            name: name.to_owned(),
            cause: cause.into(),
        }
    }
}
