//! All cases of a folder, one row each.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
/// A file that cannot be read is a failure of its row, not of the whole, and so is one whose
/// tensors fit each other so badly that our code panics.
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
        let row = CaseReport {
            name: name.to_string_lossy().into_owned(),
            deviations: guarded(|| {
                if path.with_extension("json").exists() {
                    Case::read(&path, &device).map(|case| compare(&case))
                } else {
                    read_arrays(&path).map(|arrays: Arrays| compare_functions(&arrays))
                }
            }),
        };
        observe(&row);
        rows.push(row);
    }
    Ok(rows)
}

/// The result of a comparison, whatever becomes of it. Nothing outlives a panic in it: device
/// and path are only read.
fn guarded(comparison: impl FnOnce() -> Result<Deviations, ParityError>) -> Deviations {
    let failure = match catch_unwind(AssertUnwindSafe(comparison)) {
        Ok(Ok(deviations)) => return deviations,
        Ok(Err(error)) => error.to_string(),
        Err(panic) => format!("panicked: {}", message(panic.as_ref())),
    };
    Deviations {
        failures: vec![failure],
        ..Deviations::default()
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    use super::*;

    fn view<'a>(bytes: &'a [u8], shape: &[usize]) -> TensorView<'a> {
        TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("as many bytes")
    }

    #[test]
    fn a_panic_is_a_failing_row() {
        for (deviations, expected) in [
            (guarded(|| panic!("plain")), "panicked: plain"),
            (guarded(|| panic!("number {}", 7)), "panicked: number 7"),
        ] {
            assert!(!deviations.is_ok());
            assert_eq!(deviations.failures, [expected]);
        }
    }

    #[test]
    fn a_case_that_cannot_be_run_leaves_the_others_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, shape: &[usize], ink: f32, negated: f32| {
            let bytes = [ink, negated].map(f32::to_le_bytes);
            let n_bytes = 4 * shape.iter().product::<usize>();
            let tensors = [
                ("in/gray", view(&bytes[0][..n_bytes], shape)),
                ("out/negate", view(&bytes[1], &[1, 1, 1, 1])),
            ];
            let file = safetensors::serialize(tensors, None).expect("serialised");
            fs::write(folder.path().join(name), file).expect("writable");
        };
        // A picture without pixels, a right one, one of which the operation is wrong.
        write("a.safetensors", &[1, 0, 1, 1], 0.0, 255.0);
        write("b.safetensors", &[1, 1, 1, 1], 55.0, 200.0);
        write("c.safetensors", &[1, 1, 1, 1], 55.0, 100.0);
        fs::write(folder.path().join("d.safetensors"), "").expect("writable");
        let mut seen = Vec::new();
        let rows = report(folder.path(), &Device::flex(), |row| {
            seen.push((row.name.clone(), row.is_ok()));
        });
        let expected = [("a", false), ("b", true), ("c", false), ("d", false)];
        let expected = expected.map(|(name, is_ok)| (name.to_owned(), is_ok));
        assert_eq!(seen, expected);
        assert_eq!(rows.expect("a folder of files").len(), 4);
    }
}
