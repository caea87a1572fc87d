//! Bundles of every version of the format are kept, and must be read and verify for ever.
//!
//! `HT_WRITE_FIXTURE=1` writes those of the version of today where there are none.

use std::path::{Path, PathBuf};

use ht_bundle::{Bundle, FORMAT};

use crate::sample;

fn folder(version: u32, name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fixtures.join(format!("v{version}")).join(name)
}

#[test]
fn bundles_of_every_version_are_read_and_verify() {
    for version in 1..=FORMAT {
        for (name, bundle) in [("paper", sample::paper(5)), ("mixed", sample::mixed())] {
            let folder = folder(version, name);
            let may_write = std::env::var_os("HT_WRITE_FIXTURE").is_some();
            if version == FORMAT && may_write && !folder.exists() {
                bundle.write(&folder).expect("a folder");
            }
            let read = Bundle::read(&folder).expect("a bundle");
            let verification = read.verify().expect("a network");
            assert!(verification.passed(), "{name}: {verification:?}");
            assert_eq!(read.cnn, bundle.cnn, "{name} holds other weights");
        }
    }
}
