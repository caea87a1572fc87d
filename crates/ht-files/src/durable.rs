//! Every write: a file or a folder is there whole or not at all, whenever the process or the machine
//! stops.
//!
//! ```text
//! .NAME.partial    being written; renamed to NAME when it has reached the disk
//! .NAME.replaced   the NAME of before, until the new one is in its place
//! .NAME.removed    on its way out
//! ```
//!
//! A link keeps its name: what it leads to is replaced.
//!
//! A rename is on the disk when its folder is. What a stopped process leaves behind is put right
//! by [`settle`]. Each operation passes through one function, where tests make it fail.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::FileError;

const PARTIAL: &str = "partial";
const REPLACED: &str = "replaced";
const REMOVED: &str = "removed";

/// The only way to the disk.
pub(crate) fn attempt<T>(operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    #[cfg(any(test, feature = "faults"))]
    faults::next()?;
    operation()
}

/// The hidden neighbour of a file or folder.
pub(crate) fn beside(path: &Path, kind: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{kind}"))
}

/// Where the next version of a file or folder is written.
pub fn partial(path: &Path) -> PathBuf {
    beside(path, PARTIAL)
}

/// Where a write to a path goes: what a link leads to, or the path itself.
///
/// # Errors
/// A path without a name, a link that leads nowhere.
pub fn destination(path: &Path) -> Result<PathBuf, FileError> {
    let failed = |cause: String| FileError::new("write", path, cause);
    if path.file_name().is_none() {
        return Err(failed("expected a path that ends in a name".to_owned()));
    }
    if !is_link(path) {
        return Ok(path.to_owned());
    }
    fs::canonicalize(path).map_err(|cause| {
        failed(format!(
            "it is a link that leads to nothing ({cause}), expected one to a file or folder"
        ))
    })
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_symlink())
}

/// Makes a folder and those above it, and waits until the names of all that are new have reached the
/// disk.
///
/// # Errors
/// Whatever the system refuses.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    create_folder(above)?;
    let create = || match fs::create_dir(path) {
        // Another process made it in between.
        Err(_) if path.is_dir() => Ok(()),
        created => created,
    };
    attempt(create).map_err(|cause| FileError::new("write", path, cause))?;
    sync_folder(above)
}

/// Writes a new file and waits until its bytes have reached the disk.
///
/// # Errors
/// Whatever the system refuses.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let write = || {
        let mut file = attempt(|| File::create(path))?;
        // In two halves, so that a fault can leave one.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        attempt(|| file.write_all(first))?;
        attempt(|| file.write_all(second))?;
        attempt(|| file.sync_all())
    };
    write().map_err(|cause| FileError::new("write", path, cause))
}

/// Replaces a file, or makes it: at every moment it is the old or the new one. Of a link, the file
/// that it leads to is replaced.
///
/// # Errors
/// Something else than a file in its place, or whatever the system refuses.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let target = destination(path)?;
    if target.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        let cause = "it is a folder, device or pipe, expected a regular file or a new name";
        return Err(FileError::new("write", path, cause));
    }
    let partial = partial(&target);
    let replace = || {
        write_file(&partial, bytes)?;
        rename(&partial, &target)?;
        sync_folder(parent(&target))
    };
    replace().inspect_err(|_| {
        let _ = fs::remove_file(&partial);
    })
}

/// Adds bytes to an open file.
///
/// # Errors
/// Whatever the system refuses.
pub fn append(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    attempt(|| file.write_all(bytes)).map_err(|cause| FileError::new("write", path, cause))
}

/// Waits until an open file has reached the disk.
///
/// # Errors
/// Whatever the system refuses.
pub fn sync(file: &File, path: &Path) -> Result<(), FileError> {
    attempt(|| file.sync_all()).map_err(|cause| FileError::new("write", path, cause))
}

/// Puts a folder whose files have reached the disk in the place of `target`. One that is there
/// already is removed only when the new one has its name.
///
/// # Errors
/// A link in its place ([`destination`] follows it), or whatever the system refuses.
pub fn commit_folder(partial: &Path, target: &Path) -> Result<(), FileError> {
    if is_link(target) {
        let cause = "it is a link, expected a folder or a new name";
        return Err(FileError::new("write", target, cause));
    }
    sync_folder(partial)?;
    let replaced = beside(target, REPLACED);
    let is_replaced = target.exists();
    if is_replaced {
        remove_at_once(&replaced)?;
        rename(target, &replaced)?;
    }
    let renamed = rename(partial, target);
    if renamed.is_err() && is_replaced {
        // The old one serves on; if not even this is possible, `settle` does it.
        let _ = rename(&replaced, target);
    }
    renamed?;
    sync_folder(parent(target))?;
    remove_at_once(&replaced)
}

/// Removes a folder: nobody sees half of it.
///
/// # Errors
/// Whatever the system refuses.
pub fn remove_folder(path: &Path) -> Result<(), FileError> {
    if !path.exists() {
        return Ok(());
    }
    let removed = beside(path, REMOVED);
    remove_at_once(&removed)?;
    rename(path, &removed)?;
    remove_at_once(&removed)
}

/// Removes a hidden file or folder, or nothing if it is not there.
///
/// # Errors
/// Whatever the system refuses.
pub fn remove_at_once(path: &Path) -> Result<(), FileError> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let remove = || {
        if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
    };
    attempt(remove).map_err(|cause| FileError::new("remove", path, cause))
}

/// Puts right what a stopped process has left of a file or folder: unfinished ones are removed, and
/// what was moved aside for a version that never came takes its name again.
///
/// # Errors
/// Whatever the system refuses.
pub fn settle(path: &Path) -> Result<(), FileError> {
    remove_at_once(&partial(path))?;
    remove_at_once(&beside(path, REMOVED))?;
    let replaced = beside(path, REPLACED);
    if path.exists() || replaced.symlink_metadata().is_err() {
        return remove_at_once(&replaced);
    }
    rename(&replaced, path)
}

/// Whether all that is left of a file or folder is what [`settle`] gives its name again.
pub fn is_moved_aside(path: &Path) -> bool {
    path.symlink_metadata().is_err() && beside(path, REPLACED).symlink_metadata().is_ok()
}

/// [`settle`]s everything in a folder that is ours alone.
///
/// # Errors
/// Whatever the system refuses.
pub fn settle_all(folder: &Path) -> Result<(), FileError> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some((name, PARTIAL | REPLACED | REMOVED)) = leftover(&name) {
            settle(&folder.join(name))?;
        }
    }
    Ok(())
}

/// Whether it is the name of something that [`settle`] removes, whatever else there is.
pub fn is_leftover(name: &str) -> bool {
    matches!(leftover(name), Some((_, PARTIAL | REMOVED)))
}

/// What a hidden neighbour stands beside, and its kind.
fn leftover(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix('.')?.rsplit_once('.')
}

fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    attempt(|| fs::rename(from, to)).map_err(|cause| FileError::new("write", to, cause))
}

pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Names made, renamed and removed in a folder are on the disk when the folder is.
fn sync_folder(path: &Path) -> Result<(), FileError> {
    let sync = || match File::open(path) {
        Ok(folder) => folder.sync_all(),
        // Not every system opens folders; where it does not, it keeps their order itself.
        Err(_) if cfg!(not(unix)) => Ok(()),
        Err(cause) => Err(cause),
    };
    attempt(sync).map_err(|cause| FileError::new("write", path, cause))
}

/// Operations that fail on demand, on the thread that asked for it.
#[cfg(any(test, feature = "faults"))]
pub mod faults {
    use std::cell::Cell;
    use std::io;

    /// What happens to the disk.
    #[derive(Clone, Copy, Debug)]
    pub enum Fault {
        /// Operation n fails, and those after it succeed.
        Once(u64),
        /// Operation n and all after it fail, as on a full disk or after a kill.
        From(u64),
    }

    thread_local! {
        static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }

    /// Runs `work` on a disk with a fault; returns also how many operations it asked for.
    pub fn with<T>(fault: Option<Fault>, work: impl FnOnce() -> T) -> (T, u64) {
        FAULT.set(fault);
        COUNT.set(0);
        let result = work();
        FAULT.set(None);
        (result, COUNT.get())
    }

    pub(super) fn next() -> io::Result<()> {
        let n = COUNT.get();
        COUNT.set(n + 1);
        let fails = match FAULT.get() {
            Some(Fault::Once(at)) => n == at,
            Some(Fault::From(at)) => n >= at,
            None => false,
        };
        if fails {
            Err(io::Error::other("a fault of the test"))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
