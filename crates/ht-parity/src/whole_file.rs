//! Reading a file whole, of which a stranger may have chosen the length: what `ht_files::bounded` does
//! for the crates that stand above it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::ParityError;

/// Reads a regular file of at most `most` bytes.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, ParityError> {
    let bad = |cause: &dyn ToString| ParityError::file(path, cause);
    let too_long = |n_bytes: u64| bad(&format!("{n_bytes} bytes, expected at most {most}"));
    let metadata = fs::metadata(path).map_err(|cause| bad(&cause))?;
    if !metadata.is_file() {
        // A pipe would keep us waiting for ever.
        return Err(bad(&"not a regular file"));
    }
    if metadata.len() > most {
        return Err(too_long(metadata.len()));
    }
    let file = File::open(path).map_err(|cause| bad(&cause))?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // It may grow in between.
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| bad(&cause))?;
    if bytes.len() as u64 > most {
        return Err(too_long(bytes.len() as u64));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_up_to_a_length_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "1234").expect("writable");
        assert_eq!(read(&path, 4).expect("short enough"), b"1234");
        let fails = |path: &Path, expected: &str| {
            let error = read(path, 3).expect_err(expected).to_string();
            let name = path.display().to_string();
            assert!(error.contains(expected) && error.contains(&name), "{error}");
        };
        fails(&path, "4 bytes, expected at most 3");
        fails(folder.path(), "not a regular file");
        fails(&folder.path().join("none"), "none");
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("case.safetensors");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo").success());
        let error = crate::read_arrays(&path).expect_err("a pipe").to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}
