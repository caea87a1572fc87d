//! Bad input: one clear error, an exit code, nothing overwritten.

use std::fs;
use std::path::Path;

use crate::support::{command, error, json, names, read, scratch, stderr, write_picture};

const SMOKE: &str = "configs/smoke.toml";

#[test]
fn a_wrong_key_or_value() {
    let (folder, run) = scratch();
    let set = |set: &str, expected: &[&str]| {
        error(&["train", SMOKE, "--run", &run, "--set", set], expected);
    };
    set(
        "training.stepz=3",
        &["training.stepz", "nearest known key: training.steps"],
    );
    set("training.steps='x'", &["training.steps"]);
    set("cnn.depth=9", &["layer 5 cannot be built", "1 x 1"]);
    set(
        "generator.learned_layers={last=3}",
        &["generator.learned_layers is 3", "cnn.depth = 2"],
    );
    set("no equals sign", &["key=value"]);

    let config = folder.path().join("mine.toml");
    let text = fs::read_to_string(crate::support::root().join(SMOKE)).expect("read");
    fs::write(&config, text.replace("warmup_steps", "warmup")).expect("written");
    let config = config.display().to_string();
    error(&["train", &config, "--run", &run], &["mine.toml", "warmup"]);
    error(
        &["train", "configs/none.toml"],
        &["cannot read configs/none.toml"],
    );
    error(&["train", "--device", "abacus"], &["abacus", "flex"]);
    assert!(
        !Path::new(&run).exists(),
        "a run was begun for an impossible experiment"
    );
}

#[test]
fn an_impossible_episode() {
    let (_folder, run) = scratch();
    let set = |set: &str, expected: &[&str]| {
        error(&["train", SMOKE, "--run", &run, "--set", set], expected);
    };
    set(
        "episodes.shots=7",
        &["has 8 images, but an episode takes 9", "class glyph"],
    );
    set(
        "episodes.ways=11",
        &["validation split has 10 classes", "episodes.ways is 11"],
    );
    set("split.test=30", &["leave no training class"]);
    set("episodes.queries=0", &["episodes.queries is 0"]);
    assert!(!Path::new(&run).exists());
}

#[test]
fn missing_and_broken_data() {
    let (folder, run) = scratch();
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("made");
    let data_text = data.display().to_string();
    let with_data = |source: &str, data: &[&str], expected: &[&str]| {
        let source = format!("data={{ source = '{source}', image_size = 16 }}");
        let source = source.replace("'folder',", "'folder', channels = 'grey',");
        let args = [&["train", SMOKE, "--run", &run, "--set", &source], data].concat();
        error(&args, expected);
    };
    let here = ["--data", data_text.as_str()];
    with_data("omniglot", &[], &["--data DIR"]);
    with_data(
        "omniglot",
        &here,
        &[
            "no data set omniglot in",
            &data_text,
            "images_background.npz",
        ],
    );
    with_data(
        "folder",
        &["--data", "/no/such/folder"],
        &["/no/such/folder", "class folders"],
    );
    with_data("folder", &here, &["no data set folder in", "PNG or JPEG"]);

    fs::create_dir(data.join("empty")).expect("made");
    with_data("folder", &here, &["empty folder", "empty"]);
    fs::write(data.join("empty/picture.png"), b"no picture").expect("written");
    with_data("folder", &here, &["cannot read", "picture.png"]);
    fs::write(data.join("images_background.npz"), b"PK no archive").expect("written");
    with_data("omniglot", &here, &["cannot read", "images_background.npz"]);
    fs::remove_dir_all(&data).expect("removed");

    for class in 0..9 {
        write_picture(&data.join(format!("{class}/only.png")), 100);
    }
    let split = [
        "--set",
        "split={ by = 'seed', seed = 1, validation = 3, test = 3 }",
    ];
    with_data(
        "folder",
        &[&here[..], &split[..]].concat(),
        &["has 1 images, but an episode takes 3", "episodes.shots"],
    );
    assert!(!Path::new(&run).exists());
}

#[test]
fn pictures_of_a_data_folder_that_are_not_read_are_named() {
    let (folder, _) = scratch();
    let data = folder.path().join("data");
    for class in 0..9 {
        for picture in 0..4 {
            write_picture(&data.join(format!("{class}/{picture}.png")), 100);
        }
    }
    let list = folder.path().join("list.jsonl").display().to_string();
    let data_text = data.display().to_string();
    let args = [
        "episodes",
        SMOKE,
        "--data",
        &data_text,
        "--set",
        "data={ source = 'folder', channels = 'grey', image_size = 16 }",
        "--set",
        "split={ by = 'seed', seed = 1, validation = 3, test = 3 }",
        "-o",
        &list,
    ];
    let said = || {
        let output = command(&args).output().expect("started");
        assert!(output.status.success(), "{}", stderr(&output));
        fs::remove_file(&list).expect("written");
        stderr(&output)
    };
    assert!(!said().contains("left out"));
    fs::write(data.join("3/other.webp"), b"a picture").expect("written");
    write_picture(&data.join("loose.png"), 100);
    let said = said();
    for part in ["left out", "other.webp", "loose.png", "in class folders"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn an_existing_run_is_never_overwritten() {
    let (folder, run) = scratch();
    json(&["train", SMOKE, "--run", &run]);
    let before = (
        read(&run, "config.toml"),
        read(&run, "metrics.jsonl"),
        names(&run),
    );
    error(
        &["train", SMOKE, "--run", &run],
        &[&run, "already holds a run of smoke", "--resume"],
    );
    error(&["train", "--run", &run], &["already holds a run of smoke"]);
    error(
        &[
            "train",
            SMOKE,
            "--run",
            &run,
            "--resume",
            "--set",
            "training.steps=9",
        ],
        &["another configuration", "training.steps (6 -> 9)"],
    );
    error(
        &[
            "train",
            "configs/quickstart.toml",
            "--run",
            &run,
            "--resume",
        ],
        &[
            "another configuration",
            "name (\"smoke\" -> \"quickstart\")",
        ],
    );
    let after = (
        read(&run, "config.toml"),
        read(&run, "metrics.jsonl"),
        names(&run),
    );
    assert_eq!(before, after);

    let other = folder.path().join("other");
    fs::create_dir(&other).expect("made");
    fs::write(other.join("letter.txt"), "dear").expect("written");
    let other = other.display().to_string();
    error(
        &["train", SMOKE, "--run", &other],
        &["is not empty and holds no run"],
    );
    error(&["train", "--run", &other, "--resume"], &["no run in"]);
    error(&["evaluate", "--run", &other], &["no run in"]);
    assert_eq!(names(&other), ["letter.txt"]);
    // Nor are somebody else's checkpoints, whatever they are.
    fs::rename(
        format!("{other}/letter.txt"),
        format!("{other}/checkpoints"),
    )
    .expect("renamed");
    error(
        &["train", SMOKE, "--run", &other],
        &["is not empty and holds no run"],
    );
    assert_eq!(names(&other), ["checkpoints"]);
    error(&["train", "--resume"], &["--run"]);
}

/// Its path stands in its report, which is written when all is trained.
#[test]
#[cfg(target_os = "linux")]
fn a_run_whose_path_is_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let (folder, _) = scratch();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    let train = ["train", SMOKE, "--run"];
    let output = command(&train).arg(&path).output().expect("started");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("its path is no UTF-8"), "{text}");
    assert!(!path.exists());
}

#[test]
fn a_loss_that_is_no_number() {
    let (_folder, run) = scratch();
    let hot = [
        "--set",
        "schedule.learning_rate=1e30",
        "--set",
        "optimizer={ rule = 'sgd' }",
    ];
    let args = [&["train", SMOKE, "--run", &run], &hot[..]].concat();
    error(
        &args,
        &[
            "the loss is not finite at step",
            "training episodes of seed 1 that are so: ",
            "schedule.learning_rate",
            "--skip-bad-steps",
        ],
    );
    // Whoever wants it so gets what is left, and the steps that are missing are counted.
    json(&["train", "--run", &run, "--resume", "--skip-bad-steps"]);
    let metrics = String::from_utf8(read(&run, "metrics.jsonl")).expect("text");
    assert!(
        metrics.contains("\"kind\":\"skipped-step\"") && metrics.contains("\"skipped_steps\":1"),
        "{metrics}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_result_that_nobody_gets_is_an_error() {
    let inspect = || command(&["inspect", SMOKE]);
    let full = fs::File::options().write(true).open("/dev/full");
    let output = inspect().stdout(full.expect("opened")).output();
    let output = output.expect("started");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot write to stdout"), "{text}");

    // A reader that has read enough is none.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = inspect().stdout(writer).output().expect("started");
    let text = stderr(&output);
    assert!(output.status.success() && !text.contains("error"), "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_and_the_last_checkpoint_stays() {
    // The largest file of a run is allowed 16 KiB less than it needs.
    let (_folder, run) = scratch();
    let program = env!("CARGO_BIN_EXE_hypertransformer");
    let script = format!("trap '' XFSZ; ulimit -f 8; exec {program} train {SMOKE} --run {run}");
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(crate::support::root())
        .output()
        .expect("started");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("cannot write") && text.contains("safetensors"),
        "{text}"
    );
    // With room again, the run goes on from its beginning.
    assert_eq!(
        json(&["train", "--run", &run, "--resume"])["train_episodes"],
        24
    );
}
