//! Every write: a file or a folder is there whole or not at all, whenever the process or the machine
//! stops.
//!
//! ```text
//! .NAME.partial    being written; renamed to NAME when it has reached the disk
//! .NAME.replaced   the NAME of before, until the new one is in its place
//! .NAME.removed    on its way out
//! ```
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
fn attempt<T>(operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    #[cfg(any(test, feature = "faults"))]
    faults::next()?;
    operation()
}

/// The hidden neighbour of a file or folder.
fn beside(path: &Path, kind: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{kind}"))
}

/// Where the next version of a file or folder is written.
pub fn partial(path: &Path) -> PathBuf {
    beside(path, PARTIAL)
}

/// Makes a folder and those above it.
///
/// # Errors
/// Whatever the system refuses.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    attempt(|| fs::create_dir_all(path)).map_err(|cause| FileError::new("write", path, cause))?;
    sync_folder(parent(path))
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

/// Replaces a file, or makes it: at every moment it is the old or the new one.
///
/// # Errors
/// Whatever the system refuses.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let partial = partial(path);
    let replace = || {
        write_file(&partial, bytes)?;
        rename(&partial, path)?;
        sync_folder(parent(path))
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
/// Whatever the system refuses.
pub fn commit_folder(partial: &Path, target: &Path) -> Result<(), FileError> {
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
        let leftover = name
            .strip_prefix('.')
            .and_then(|rest| rest.rsplit_once('.'));
        if let Some((name, PARTIAL | REPLACED | REMOVED)) = leftover {
            settle(&folder.join(name))?;
        }
    }
    Ok(())
}

/// Whether it is the name of something that [`settle`] removes.
pub fn is_leftover(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(&format!(".{PARTIAL}"))
}

fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    attempt(|| fs::rename(from, to)).map_err(|cause| FileError::new("write", to, cause))
}

fn parent(path: &Path) -> &Path {
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
mod tests {
    use super::*;

    #[test]
    fn what_a_stopped_process_left_is_put_right() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in [
            ".a.partial",
            ".b.replaced",
            ".c.replaced",
            "c",
            ".d.removed",
        ] {
            fs::create_dir(path(name)).expect("made");
        }
        fs::write(path(".e.json.partial"), "{").expect("written");
        fs::write(path(".hidden"), "kept").expect("written");
        settle_all(folder.path()).expect("settled");
        let entries = fs::read_dir(folder.path()).expect("read");
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        assert_eq!(names, [".hidden", "b", "c"]);
    }

    #[test]
    fn a_file_is_the_old_or_the_new_one() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("result.json");
        replace_file(&path, b"old").expect("written");
        let (_, n_operations) = faults::with(None, || replace_file(&path, b"old"));
        assert!(n_operations >= 6, "{n_operations}");
        for n in 0..n_operations {
            replace_file(&path, b"old").expect("written");
            let (result, _) =
                faults::with(Some(faults::Fault::From(n)), || replace_file(&path, b"new"));
            assert!(result.is_err());
            let found = fs::read(&path).expect("it is there");
            assert!(found == b"old" || found == b"new", "operation {n}");
        }
    }

    #[test]
    fn a_folder_is_replaced_whole() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let target = folder.path().join("step-1");
        let put = |text: &[u8]| {
            let new = partial(&target);
            remove_at_once(&new)?;
            create_folder(&new)?;
            write_file(&new.join("file"), text)?;
            commit_folder(&new, &target)
        };
        put(b"old").expect("written");
        let (_, n_operations) = faults::with(None, || put(b"old"));
        for n in 0..n_operations {
            put(b"old").expect("written");
            let (result, _) = faults::with(Some(faults::Fault::From(n)), || put(b"new"));
            settle_all(folder.path()).expect("settled");
            let found = fs::read(target.join("file")).expect("it is there");
            assert!(
                result.is_err() && (found == b"old" || found == b"new"),
                "operation {n}"
            );
        }
    }
}
