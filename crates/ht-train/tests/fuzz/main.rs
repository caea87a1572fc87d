//! Files changed at random, for every reader: none may panic, hang or take memory without end.
//!
//! `corpus/READER/` holds files to start from besides those that are made here, `found/READER/`
//! every file that a reader once failed on; both are read as they stand in every run. Then come
//! changed ones, drawn from a seed: a second or less here, as many seconds as `cargo xtask fuzz
//! --seconds N` says. A failing file is written to `found/`.

mod change;
mod readers;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ht_episodes::stream;
use ht_files::sha256;

use crate::change::changed;
use crate::readers::{READERS, Reader};

/// Changed files for each reader where no time is given.
const CASES: u64 = 150;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().expect("a number"))
}

fn stored(folder: &str, reader: &Reader) -> Vec<Vec<u8>> {
    let folder = here().join(folder).join(reader.name);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("read"))
        .collect()
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// Reads a file and keeps it if the reader panics.
fn attempt(reader: &Reader, folder: &Path, bytes: &[u8]) -> bool {
    let result = catch_unwind(AssertUnwindSafe(|| (reader.read)(folder, bytes)));
    let Ok(is_read) = result else {
        let found = here().join("found").join(reader.name);
        fs::create_dir_all(&found).expect("made");
        let path = found.join(&sha256(bytes)[..16]);
        fs::write(&path, bytes).expect("written");
        panic!("{} panics on {}", reader.name, path.display());
    };
    is_read
}

fn fuzz(reader: &Reader) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let mut corpus = (reader.seeds)();
    corpus.extend(stored("corpus", reader));
    for bytes in &corpus {
        assert!(
            attempt(reader, folder.path(), bytes),
            "{} refuses its corpus",
            reader.name
        );
    }
    for bytes in stored("found", reader) {
        attempt(reader, folder.path(), &bytes);
    }
    let limit = setting("HT_FUZZ_SECONDS").map(Duration::from_secs);
    let seed = setting("HT_FUZZ_SEED").unwrap_or(1);
    let started = Instant::now();
    let is_over = |n| limit.map_or(n >= CASES, |limit| started.elapsed() >= limit);
    let (mut n_cases, mut n_read) = (0, 0);
    let mut slowest = Duration::ZERO;
    while !is_over(n_cases) {
        let mut rng = stream(seed, reader.name, 0, n_cases);
        let bytes = changed(&corpus, reader.words, &mut rng);
        let before = Instant::now();
        n_read += u64::from(attempt(reader, folder.path(), &bytes));
        slowest = slowest.max(before.elapsed());
        n_cases += 1;
    }
    let line = format!(
        "{:12} {n_cases} changed files in {:.0} s, {n_read} of them read, the slowest in {:.0} ms\n",
        reader.name,
        started.elapsed().as_secs_f64(),
        1e3 * slowest.as_secs_f64()
    );
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
}

#[test]
fn changed_files_are_read_or_refused() {
    let only = std::env::var("HT_FUZZ_READER").ok();
    let is_asked = |reader: &&Reader| only.as_ref().is_none_or(|only| only == reader.name);
    READERS.iter().filter(is_asked).for_each(fuzz);
}
