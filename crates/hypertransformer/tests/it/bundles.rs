//! Bundles that several processes change, links to them, and outputs that would replace what they
//! should not.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use ht_bundle::Bundle;
use tempfile::TempDir;

use crate::deploy::model_and_task;
use crate::support::{command, error, json, names, read, stderr, write_picture};

/// A folder with a trained model, a task and its bundle `cnn`, of three classes.
struct Made {
    folder: TempDir,
    model: String,
}

impl Made {
    fn new() -> Self {
        let (folder, model) = model_and_task();
        write_picture(&folder.path().join("task/cedar/1.png"), 200);
        let made = Self { folder, model };
        json(&made.generate("task", "cnn").each_ref().map(String::as_str));
        made
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn generate(&self, task: &str, output: &str) -> [String; 7] {
        let [task, output] = [task, output].map(|name| self.path(name));
        let model = self.model.clone();
        [
            "generate",
            "--support",
            &task,
            "--model",
            &model,
            "-o",
            &output,
        ]
        .map(ToOwned::to_owned)
    }
}

#[test]
fn several_processes_leave_a_bundle_and_lose_no_change() {
    let made = Made::new();
    let cnn = made.path("cnn");
    let generate = made.generate("task", "cnn");
    let remove = ["remove-class", &cnn, "cedar", "--model", &made.model].map(ToOwned::to_owned);
    let started = [&generate[..], &generate, &remove, &generate, &remove].map(|args| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = command(&args);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("started")
    });
    let mut n_done = 0;
    for process in started {
        let output = process.wait_with_output().expect("ended");
        let text = stderr(&output);
        let is_known = text.contains("is being written by another process")
            || text.contains("no class cedar")
            || text.contains("2 classes");
        assert!(output.status.success() || is_known, "{text}");
        n_done += usize::from(output.status.success());
    }
    assert!(n_done > 0);
    json(&["verify", &cnn]);

    // While one process changes it, no other does.
    let before = read(&cnn, "manifest.json");
    let lock = Bundle::lock(Path::new(&cnn)).expect("free");
    let add = [
        "add-class",
        &cnn,
        &made.path("task/cedar"),
        "--name",
        "oak",
        "--model",
        &made.model,
    ];
    let generate = generate.each_ref().map(String::as_str);
    for args in [&generate[..], &remove.each_ref().map(String::as_str), &add] {
        error(args, &["cnn: it is being written by another process"]);
    }
    assert_eq!(read(&cnn, "manifest.json"), before);
    drop(lock);
    json(&generate);
    let entries = names(made.folder.path());
    assert!(
        !entries.iter().any(|name| name.starts_with(".cnn")),
        "{entries:?}"
    );
}

#[test]
fn a_bundle_that_was_moved_aside_is_found() {
    let made = Made::new();
    let cnn = made.path("cnn");
    let remove = ["remove-class", &cnn, "cedar", "--model", &made.model];
    for args in [
        &["verify", &cnn][..],
        &["predict", &cnn, &made.path("task/ash")],
        &remove,
    ] {
        fs::rename(&cnn, made.path(".cnn.replaced")).expect("moved");
        json(args);
    }
    // Nothing is made for one that is nowhere.
    let nowhere = made.path("no/such");
    error(
        &["remove-class", &nowhere, "ash", "--model", &made.model],
        &["no/such/manifest.json"],
    );
    assert!(!Path::new(&made.path("no")).exists());
}

#[test]
#[cfg(unix)]
fn an_output_replaces_nothing_but_a_file_of_its_kind() {
    use std::os::unix::fs::symlink;
    let made = Made::new();
    let cnn = made.path("cnn");
    let before = (names(&cnn), read(&cnn, "cnn.htcnn"));
    symlink("cnn/cnn.htcnn", made.path("inward")).expect("linked");
    let refused = |output: &str, expected: &str| {
        error(
            &["export", &cnn, "--format", "c", "-o", output],
            &[expected, output],
        );
    };
    refused(&made.path("cnn/cnn.htcnn"), "is a bundle");
    refused(&made.path("cnn/new.h"), "is a bundle");
    refused(&made.path("inward"), "is a bundle");
    refused("/dev/null", "expected a regular file");
    refused(&made.path("task"), "expected a regular file");
    assert_eq!(before, (names(&cnn), read(&cnn, "cnn.htcnn")));

    // A link to a file or a bundle stays one.
    fs::write(made.path("file.h"), "old").expect("written");
    symlink("file.h", made.path("link.h")).expect("linked");
    json(&["export", &cnn, "--format", "c", "-o", &made.path("link.h")]);
    assert!(read(&made.path(""), "file.h").len() > 1000);
    symlink("cnn", made.path("link")).expect("linked");
    json(&[
        "remove-class",
        &made.path("link"),
        "cedar",
        "--model",
        &made.model,
    ]);
    for link in ["link.h", "link"] {
        let metadata = fs::symlink_metadata(made.path(link)).expect("there");
        assert!(metadata.is_symlink(), "{link}");
    }
    let bundle = Bundle::read(Path::new(&cnn)).expect("whole");
    assert_eq!(bundle.manifest.labels, ["ash", "birch"]);
}

#[test]
fn a_class_of_one_picture_needs_a_name() {
    let made = Made::new();
    let (cnn, picture) = (made.path("cnn"), made.path("task/cedar/1.png"));
    json(&["remove-class", &cnn, "cedar", "--model", &made.model]);
    let add = ["add-class", &cnn, &picture, "--model", &made.model];
    error(&add, &["1.png is a picture", "--name"]);
    let added = json(&[&add[..], &["--name", "oak"]].concat());
    assert_eq!(added["labels"], serde_json::json!(["ash", "birch", "oak"]));
}

#[test]
fn drawings_in_the_transparency_alone_are_noticed() {
    let made = Made::new();
    for (class, ink) in [("ash", 3), ("birch", 9)] {
        let path = made.folder.path().join(format!("clear/{class}/1.png"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let drawing = image::RgbaImage::from_fn(20, 20, |x, _| {
            image::Rgba([0, 0, 0, if x == ink { 255 } else { 0 }])
        });
        drawing.save(path).expect("written");
    }
    let note = |task: &str| {
        let args = made.generate(task, "other");
        let output = command(&args.each_ref().map(String::as_str))
            .output()
            .expect("started");
        (
            stderr(&output).contains("all pictures look the same"),
            output.status.success(),
        )
    };
    // Statistics of equal pictures are no ground for a CNN: it may or may not be written.
    assert!(note("clear").0);
    assert_eq!(note("task"), (false, true));
}
