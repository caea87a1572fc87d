//! Runs that could not begin: whatever an earlier attempt left, the next one is made.

use ht_files::durable::faults::{self, Fault};
use tempfile::TempDir;

use super::*;

fn info() -> RunInfo {
    RunInfo {
        data: None,
        device: "flex".to_owned(),
        version: "test".to_owned(),
        machine: None,
        data_sha256: None,
        start: None,
        start_part: None,
    }
}

#[test]
fn a_run_knows_all_the_places_that_it_was_at() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("run");
    let run = RunDir::create(&path, &info()).expect("made");
    for (device, machine) in [
        ("flex", "a small one"),
        ("wgpu", "a large one"),
        ("wgpu", "a large one"),
        ("flex", "a large one"),
    ] {
        run.goes_on(device, machine).expect("written");
    }
    let found = RunDir::info(&path).expect("read");
    assert_eq!(found.device, "flex, then wgpu, then flex");
    let machine = found.machine.expect("a machine");
    assert_eq!(machine, "unknown, then a small one, then a large one");
}

#[test]
fn a_run_is_made_where_an_earlier_attempt_was_stopped() {
    let info = info();
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("run");
    // Stopped between the checkpoint that it starts from and its beginning.
    let leave_behind = || {
        RunDir::create(&path, &info).expect("made");
        fs::create_dir(path.join("checkpoints")).expect("made");
    };
    leave_behind();
    let (_, n_operations) = faults::with(None, || RunDir::create(&path, &info));
    assert!(n_operations > 5, "{n_operations}");
    for n in 0..n_operations {
        leave_behind();
        let (stopped, _) = faults::with(Some(Fault::From(n)), || RunDir::create(&path, &info));
        assert!(stopped.is_err(), "operation {n}");
    }
    leave_behind();
}

#[test]
fn a_folder_that_cannot_be_read_is_not_an_empty_one() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("checkpoints");
    assert_eq!(
        checkpoints_in(&path).expect("no folder"),
        [] as [PathBuf; 0]
    );
    fs::write(&path, "a file").expect("written");
    let error = checkpoints_in(&path).expect_err("a file").to_string();
    assert!(
        error.contains("cannot read") && error.contains("checkpoints"),
        "{error}"
    );
}
