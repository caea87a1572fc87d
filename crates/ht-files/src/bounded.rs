//! Reading files of a run, a model or a bundle: they may come from a stranger, so their length is asked
//! before memory is taken for it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::FileError;

/// Configs, manifests and other files that people could read whole.
pub const SMALL_FILE: u64 = 4 << 20;

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// A file that cannot be read, is longer, or is no regular file.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let fail = |cause: &dyn std::fmt::Display| FileError::new("read", path, cause);
    let too_long = |n_bytes: u64| fail(&format!("{n_bytes} bytes, expected at most {most}"));
    let metadata = fs::metadata(path).map_err(|cause| fail(&cause))?;
    if !metadata.is_file() {
        // A pipe would keep us waiting for ever.
        return Err(fail(&"not a regular file"));
    }
    let n_bytes = metadata.len();
    if n_bytes > most {
        return Err(too_long(n_bytes));
    }
    let file = File::open(path).map_err(|cause| fail(&cause))?;
    let mut bytes = Vec::with_capacity(n_bytes as usize);
    // It may grow in between.
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| fail(&cause))?;
    if bytes.len() as u64 > most {
        return Err(too_long(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Reads a text of at most `most` bytes.
///
/// # Errors
/// A file that cannot be read, is longer, or is no regular file.
pub fn read_text(path: &Path, most: u64) -> Result<String, FileError> {
    String::from_utf8(read(path, most)?).map_err(|_| FileError::new("read", path, "no UTF-8 text"))
}
