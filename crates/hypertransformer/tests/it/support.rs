//! How the tests call the binary.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// The root of the repository, from which the commands run.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The binary with its arguments.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hypertransformer"));
    command.current_dir(root()).args(args);
    command
}

/// Runs a command that must succeed; returns the JSON object on its last line of stdout.
pub(crate) fn json(args: &[&str]) -> Value {
    let output = command(args).arg("--json").output().expect("started");
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = stdout.lines().last().expect("a line on stdout");
    serde_json::from_str(last).unwrap_or_else(|cause| panic!("{last:?}: {cause}"))
}

/// Runs a command that must fail with one line that holds all of `expected`.
pub(crate) fn error(args: &[&str], expected: &[&str]) {
    let output = command(args).output().expect("started");
    let text = stderr(&output);
    assert!(!output.status.success(), "{args:?} succeeded");
    assert!(
        output.status.code().is_some(),
        "{args:?} was killed: {text}"
    );
    assert!(!text.contains("panicked"), "{args:?}: {text}");
    for part in expected {
        assert!(text.contains(part), "{args:?}: {text:?} lacks {part:?}");
    }
}

/// A skipped test says so, even where the harness captures what tests print.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder for one test, and the path of a run in it.
pub(crate) fn scratch() -> (TempDir, String) {
    let folder = TempDir::new().expect("temporary folder");
    let run = folder.path().join("run").display().to_string();
    (folder, run)
}

/// All bytes of a file of a run.
pub(crate) fn read(run: &str, file: &str) -> Vec<u8> {
    let path = Path::new(run).join(file);
    std::fs::read(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

/// Names in a folder, sorted.
pub(crate) fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// Writes a grey PNG picture of one brightness.
pub(crate) fn write_picture(path: &Path, brightness: u8) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
    image::GrayImage::from_pixel(20, 20, image::Luma([brightness]))
        .save(path)
        .expect("written");
}
