//! Files, zip archives and tables from strangers: opened within limits, before anything is
//! unpacked.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;
use zip::read::ZipFile;

use crate::EpisodeError;

/// Entries of one archive; Omniglot's larger one has 20,000.
const MAX_ENTRIES: usize = 200_000;
/// Times by which an entry may grow when it is unpacked; Omniglot's arrays grow 64 times.
const MAX_GROWTH: u64 = 128;
/// What may grow more, because it takes no memory worth the name.
const SMALL: u64 = 16 << 20;
/// Bytes of a table of classes or files; miniImageNet's largest has 2 MB.
const MAX_TABLE_BYTES: u64 = 32 << 20;

/// Opens a file. A pipe would keep us waiting for ever.
pub(super) fn open_file(path: &Path) -> Result<File, String> {
    let metadata = fs::metadata(path).map_err(|cause| cause.to_string())?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    File::open(path).map_err(|cause| cause.to_string())
}

/// Opens an archive and reads its list of entries.
pub(super) fn open_archive(path: &Path) -> Result<ZipArchive<BufReader<File>>, String> {
    let file = open_file(path)?;
    let archive = ZipArchive::new(BufReader::new(file)).map_err(|cause| cause.to_string())?;
    if archive.len() > MAX_ENTRIES {
        return Err(format!(
            "{} entries, expected at most {MAX_ENTRIES}",
            archive.len()
        ));
    }
    Ok(archive)
}

/// Opens the array `name` of an npz file, if it unpacks to a size that it could honestly have.
pub(super) fn open_array<'a>(
    archive: &'a mut ZipArchive<BufReader<File>>,
    name: &str,
) -> Result<ZipFile<'a, BufReader<File>>, String> {
    let entry = archive
        .by_name(name)
        .map_err(|cause| format!("{name}: {cause}"))?;
    let (unpacked, packed) = (entry.size(), entry.compressed_size());
    if unpacked > SMALL && unpacked / packed.max(1) > MAX_GROWTH {
        return Err(format!(
            "{name}: {packed} bytes that unpack to {unpacked}, expected at most {MAX_GROWTH} times \
             as many"
        ));
    }
    Ok(entry)
}

/// Refuses an array whose header claims more than its entry holds.
pub(super) fn check_claim(shape: &[usize], unpacked: u64) -> Result<(), String> {
    let claimed = shape
        .iter()
        .fold(1u64, |size, &side| size.saturating_mul(side as u64));
    if claimed <= unpacked {
        Ok(())
    } else {
        Err(format!(
            "array of shape {shape:?}, which is {claimed} bytes, but the entry has {unpacked}"
        ))
    }
}

/// A reader of a table with a heading.
pub(crate) fn open_table(path: &Path) -> Result<csv::Reader<impl Read>, EpisodeError> {
    let bad = |cause: String| EpisodeError::unreadable(path, cause);
    let file = open_file(path).map_err(bad)?;
    let metadata = file.metadata().map_err(|cause| bad(cause.to_string()))?;
    let n_bytes = metadata.len();
    if n_bytes > MAX_TABLE_BYTES {
        return Err(bad(format!(
            "a table of {n_bytes} bytes, expected at most {MAX_TABLE_BYTES}"
        )));
    }
    Ok(csv::Reader::from_reader(file.take(MAX_TABLE_BYTES)))
}
