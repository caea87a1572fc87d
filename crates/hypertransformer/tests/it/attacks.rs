//! What is refused: in 256 MB of memory, with one short line, and nothing done.
//!
//! The limit is that of the whole process (`ulimit -v`), in which the smoke experiment trains;
//! `attack_data.rs` and `attack_models.rs` hold the attacks.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{root, scratch, stderr};

const SMOKE: &str = "configs/smoke.toml";

/// Runs the binary in 256 MB, and for at most 20 s of the processor's time.
fn run(args: &[&str]) -> Output {
    let script = "ulimit -v 262144 -t 20; exec \"$0\" \"$@\"";
    Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_hypertransformer")])
        .args(args)
        .current_dir(root())
        .output()
        .expect("started")
}

/// Checks that a command refuses, in one short message that says all of `expected`.
pub(crate) fn refused(args: &[&str], expected: &[&str]) {
    let output = run(args);
    let text = stderr(&output);
    let start: String = text.chars().take(1000).collect();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {start}");
    assert!(!text.contains("panicked"), "{args:?}: {start}");
    assert!(text.len() < 4000, "{args:?}: {} bytes: {start}", text.len());
    for part in expected {
        assert!(text.contains(part), "{args:?}: {start:?} lacks {part:?}");
    }
}

/// Checks that training on a hostile data set is refused.
pub(crate) fn refused_data(source: &str, write: impl FnOnce(&Path), expected: &[&str]) {
    let (folder, run) = scratch();
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("made");
    write(&data);
    let source = format!("data={{ source = '{source}', image_size = 16 }}");
    let source = source.replace("'folder',", "'folder', channels = 'grey',");
    let data = data.display().to_string();
    let args = [
        "train", SMOKE, "--run", &run, "--data", &data, "--set", &source,
    ];
    refused(&args, expected);
    assert!(!Path::new(&run).exists());
}

#[test]
fn an_ordinary_run_fits_where_attacks_are_refused() {
    let (_folder, path) = scratch();
    let output = run(&["train", SMOKE, "--run", &path]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn texts() {
    let (folder, path) = scratch();
    let file = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, bytes).expect("written");
        file.display().to_string()
    };
    let refused_config = |bytes: &[u8], expected: &[&str]| {
        let config = file("config.toml", bytes);
        refused(&["train", &config, "--run", &path], expected);
    };
    for open in ["[", "{a="] {
        let deep = format!("name = {}", open.repeat(100_000));
        refused_config(deep.as_bytes(), &["config.toml"]);
    }
    refused_config(
        format!("[{}a]", "a.".repeat(100_000)).as_bytes(),
        &["config.toml"],
    );
    refused_config(
        format!("name = \"{}", "x".repeat(3 << 20)).as_bytes(),
        &["config.toml"],
    );
    refused_config(
        format!("{} = 1", "x".repeat(3 << 20)).as_bytes(),
        &["config.toml"],
    );
    refused_config(b"name = \"\xff\"", &["config.toml", "UTF-8"]);
    let long = fs::File::create(folder.path().join("long.toml")).expect("made");
    long.set_len(1 << 30).expect("sparse");
    let long = folder.path().join("long.toml").display().to_string();
    refused(
        &["train", &long, "--run", &path],
        &["1073741824 bytes, expected at most"],
    );

    let split = folder.path().join("split.csv");
    let by_file = format!("split={{ by = 'file', path = '{}' }}", split.display());
    let with_split = ["train", SMOKE, "--run", &path, "--set", &by_file];
    let row = |field: &str| format!("class,split\n{field},train\n");
    fs::write(&split, row(&"x".repeat(1 << 20))).expect("written");
    refused(&with_split, &["split.csv", "is not in the data set"]);
    fs::write(&split, row(&format!("\"{}", "\n".repeat(1 << 20)))).expect("written");
    refused(&with_split, &["split.csv"]);
    fs::File::create(&split)
        .and_then(|file| file.set_len(4 << 30))
        .expect("sparse");
    refused(&with_split, &["split.csv", "4294967296 bytes"]);
    assert!(!Path::new(&path).exists());
}
