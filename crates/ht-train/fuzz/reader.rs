//! One reader of `tests/fuzz`, named as the program, led by the coverage that libFuzzer measures.
//!
//! Half of the changes are libFuzzer's own, the other half those of the ordinary test, which know
//! the words of the format and begin with whole files: so no corpus is needed to start from.

#![no_main]

#[path = "../tests/fuzz/change.rs"]
mod change;
#[path = "../tests/fuzz/readers.rs"]
mod readers;

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::readers::{READERS, Reader};

static READER: LazyLock<&Reader> = LazyLock::new(|| {
    let name = env!("CARGO_BIN_NAME");
    let is_meant = |reader: &&Reader| reader.name == name;
    READERS.iter().find(is_meant).expect("a reader's name")
});
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus");
    let stored = std::fs::read_dir(format!("{corpus}/{}", READER.name));
    let stored = stored.into_iter().flatten().flatten();
    let stored = stored.map(|entry| std::fs::read(entry.path()).expect("read"));
    (READER.seeds)().into_iter().chain(stored).collect()
});
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

fuzz_target!(|bytes: &[u8]| {
    (READER.read)(FOLDER.path(), bytes);
});

fuzz_mutator!(|bytes: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 2 == 0 && size > 0 {
        return fuzzer_mutate(bytes, size, max_size);
    }
    let mut corpus = SEEDS.clone();
    if size > 0 {
        // As likely as all whole files together.
        corpus.extend(vec![bytes[..size].to_vec(); SEEDS.len()]);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed.into());
    let changed = change::changed(&corpus, READER.words, &mut rng);
    let size = changed.len().min(max_size);
    bytes[..size].copy_from_slice(&changed[..size]);
    size
});
