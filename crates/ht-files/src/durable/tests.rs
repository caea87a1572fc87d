//! Writes that fail at any moment, and what may lie where one goes.

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
fn what_is_unfinished_or_on_its_way_out_is_a_leftover() {
    for name in [".run.json.partial", ".checkpoints.removed"] {
        assert!(is_leftover(name), "{name}");
    }
    // One that was moved aside may be all that is left of it.
    for name in [".a.replaced", ".removed", "a.partial", "a.removed", ".a"] {
        assert!(!is_leftover(name), "{name}");
    }
}

#[test]
fn the_name_of_every_new_folder_reaches_the_disk() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("runs/quickstart/best");
    let (_, n_operations) = faults::with(None, || create_folder(&path));
    // Each of three is made, and the folder that holds it written.
    assert_eq!(n_operations, 6);
    assert!(path.is_dir());
    let (_, n_operations) = faults::with(None, || create_folder(&path));
    assert_eq!(n_operations, 0);
    for n in 0..6 {
        fs::remove_dir_all(folder.path().join("runs")).expect("removed");
        let (stopped, _) = faults::with(Some(faults::Fault::From(n)), || create_folder(&path));
        assert!(stopped.is_err(), "operation {n}");
        create_folder(&path).expect("made after all");
        assert!(path.is_dir());
    }
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

#[test]
#[cfg(unix)]
fn a_link_keeps_its_name_and_what_is_no_file_is_left_alone() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("there")).expect("made");
    fs::write(path("there/file"), "old").expect("written");
    symlink("there/file", path("link")).expect("linked");
    replace_file(&path("link"), b"new").expect("written");
    assert!(is_link(&path("link")));
    assert_eq!(fs::read(path("there/file")).expect("read"), b"new");

    symlink("nowhere", path("broken")).expect("linked");
    let pipe = std::process::Command::new("mkfifo")
        .arg(path("pipe"))
        .status();
    assert!(pipe.expect("mkfifo").success());
    for (name, expected) in [
        ("broken", "leads to nothing"),
        ("pipe", "expected a regular file"),
        ("there", "expected a regular file"),
    ] {
        let before = path(name).symlink_metadata().expect("there").file_type();
        let error = replace_file(&path(name), b"new").expect_err(expected);
        let error = error.to_string();
        assert!(error.contains(expected) && error.contains(name), "{error}");
        let after = path(name).symlink_metadata().expect("there").file_type();
        assert_eq!(before, after, "{name}");
    }
    let error = replace_file(Path::new("/dev/null"), b"new").expect_err("a device");
    assert!(error.to_string().contains("/dev/null"), "{error}");

    fs::create_dir(path("new")).expect("made");
    symlink("there", path("folder")).expect("linked");
    let error = commit_folder(&path("new"), &path("folder")).expect_err("a link");
    assert!(error.to_string().contains("it is a link"), "{error}");
    assert!(is_link(&path("folder")) && path("there/file").is_file());
}
