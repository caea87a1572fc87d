//! All cases of a folder, one row each.

use std::path::Path;

use burn::tensor::Device;

use crate::tensors::{Arrays, read_arrays};
use crate::{Case, Deviations, ParityError, case_files, compare, compare_functions};

/// How one file compares.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseReport {
    /// Its name, without the extension.
    pub name: String,
    /// What was found.
    pub deviations: Deviations,
}

impl CaseReport {
    /// Whether everything in the file was compared and is within tolerance.
    pub fn is_ok(&self) -> bool {
        self.deviations.is_ok()
    }
}

/// Compares every file of a folder: recorded steps (with a JSON file beside them) and
/// recorded functions (without).
///
/// A file that cannot be read is a failure of its row, not of the whole.
///
/// # Errors
/// A folder without files.
pub fn report(
    folder: &Path,
    device: &Device,
    mut observe: impl FnMut(&CaseReport),
) -> Result<Vec<CaseReport>, ParityError> {
    let device = device.clone().autodiff();
    let mut rows = Vec::new();
    for path in case_files(folder)? {
        let name = path.file_stem().unwrap_or_default();
        let result = if path.with_extension("json").exists() {
            Case::read(&path, &device).map(|case| compare(&case))
        } else {
            read_arrays(&path).map(|arrays: Arrays| compare_functions(&arrays))
        };
        let row = CaseReport {
            name: name.to_string_lossy().into_owned(),
            deviations: result.unwrap_or_else(|error| Deviations {
                failures: vec![error.to_string()],
                ..Deviations::default()
            }),
        };
        observe(&row);
        rows.push(row);
    }
    Ok(rows)
}
