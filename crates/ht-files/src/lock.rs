//! One process at a time: whoever changes a folder holds a lock beside it.
//!
//! ```text
//! .NAME.lock    there while a process writes NAME
//! ```

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::{FileError, durable};

/// Times that a lock is taken anew because its file was removed in between.
const MOST_TRIES: usize = 100;

/// A folder, there or not yet, that no other process writes while this value lives.
#[derive(Debug)]
pub struct FolderLock {
    folder: PathBuf,
    file: PathBuf,
    _lock: File,
}

impl FolderLock {
    /// Locks a folder, or the one that a link leads to, and makes the folders above it.
    ///
    /// # Errors
    /// A folder that another process is writing, or whatever the system refuses.
    pub fn take(path: &Path) -> Result<Self, FileError> {
        // Without a slash at its end, behind which a link is not seen.
        let name = path.file_name().unwrap_or_default();
        let plain = path.with_file_name(name);
        let folder = durable::destination(if name.is_empty() { path } else { &plain })?;
        durable::create_folder(durable::parent(&folder))?;
        let file = durable::beside(&folder, "lock");
        for _ in 0..MOST_TRIES {
            let lock = durable::attempt(|| File::create(&file))
                .map_err(|cause| FileError::new("write", &file, cause))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(cause)) => {
                    return Err(FileError::new("lock", &file, cause));
                }
            }
            if is_file_of(&lock, &file) {
                return Ok(Self {
                    folder,
                    file,
                    _lock: lock,
                });
            }
        }
        let cause = "it is being written by another process";
        Err(FileError::new("write", path, cause))
    }

    /// The folder that is locked.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Still locked: whoever opens it from now on makes another file, and whoever has opened it
        // already finds that it is gone. Where files cannot be told apart, it stays.
        if cfg!(unix) {
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

/// Whether an open file is the one of this name, and not one that was removed since it was opened.
#[cfg(unix)]
fn is_file_of(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let [Ok(open), Ok(named)] = [file.metadata(), path.metadata()] else {
        return false;
    };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

#[cfg(not(unix))]
fn is_file_of(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time_and_nothing_stays() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("above/cnn");
        let held = FolderLock::take(&path).expect("free");
        assert_eq!(held.folder(), path);
        let error = FolderLock::take(&path).expect_err("taken").to_string();
        assert!(
            error.contains("cnn: it is being written by another process"),
            "{error}"
        );
        drop(held);
        drop(FolderLock::take(&path).expect("free again"));
        let n_left = fs::read_dir(folder.path().join("above"))
            .expect("made")
            .count();
        assert_eq!(n_left, usize::from(cfg!(not(unix))));
    }

    #[test]
    fn a_removed_lock_file_is_never_held_by_two() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("cnn");
        let (n_holders, n_taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Ok(_lock) = FolderLock::take(&path) else {
                            continue;
                        };
                        assert_eq!(n_holders.fetch_add(1, Ordering::SeqCst), 0);
                        n_taken.fetch_add(1, Ordering::SeqCst);
                        n_holders.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(n_taken.into_inner() > 0);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_and_its_folder_have_one_lock() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("cnn");
        let link = folder.path().join("link");
        fs::create_dir(&path).expect("made");
        std::os::unix::fs::symlink("cnn", &link).expect("linked");
        let _held = FolderLock::take(&path).expect("free");
        for link in [link.clone(), link.join("")] {
            let error = FolderLock::take(&link).expect_err("taken").to_string();
            assert!(error.contains("another process"), "{error}");
        }
    }
}
