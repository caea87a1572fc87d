//! From a folder of pictures to a network that runs alone: generate, predict, verify, export, and
//! classes that come and go.

use std::fs;
use std::path::Path;

use ht_episodes::{ImageSource, source::GlyphsConfig};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{command, error, json, read, scratch, stderr, write_picture};

/// A trained model in a folder of models.
fn model(folder: &Path) -> String {
    let run = folder.join("run").display().to_string();
    json(&[
        "train",
        "configs/smoke.toml",
        "--run",
        &run,
        "--set",
        "cnn.norm_statistics=support",
        "--set",
        "episodes.shots=2",
    ]);
    let models = folder.join("models").display().to_string();
    json(&[
        "models", "--folder", &models, "--add", &run, "--name", "small",
    ]);
    models
}

/// Writes drawings of glyphs that no training saw as class folders: `counts` pictures of each class.
pub(crate) fn write_drawings(folder: &Path, counts: &[(&str, usize)], invert: bool) {
    let glyphs = ImageSource::Glyphs(GlyphsConfig {
        classes: counts.len(),
        samples: 8,
        image_size: 40,
        seed: 99,
    });
    let images = glyphs.load(None).expect("drawn");
    for (class, (name, count)) in counts.iter().enumerate() {
        fs::create_dir_all(folder.join(name)).expect("made");
        for n in 0..*count {
            let mut bytes = images.image(class, n).to_vec();
            if invert {
                for byte in &mut bytes {
                    *byte = 255 - *byte;
                }
            }
            let picture = image::GrayImage::from_raw(40, 40, bytes).expect("40 x 40");
            picture
                .save(folder.join(format!("{name}/{n}.png")))
                .expect("written");
        }
    }
}

/// A folder with a trained model, whose path is told, and a `task` of two classes.
pub(crate) fn model_and_task() -> (TempDir, String) {
    let (folder, _) = scratch();
    let small = format!("{}/small", model(folder.path()));
    let counts = [("ash", 2), ("birch", 2)];
    write_drawings(&folder.path().join("task"), &counts, false);
    (folder, small)
}

fn numbers(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().expect("a list").iter();
    numbers
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

#[test]
fn pictures_become_a_network_that_runs_alone() {
    let (folder, _) = scratch();
    let here = |name: &str| folder.path().join(name).display().to_string();
    let models = model(folder.path());
    let counts = [("ash", 3), ("birch", 1), ("cedar", 2)];
    write_drawings(&folder.path().join("task"), &counts, false);
    let (task, cnn) = (here("task"), here("cnn"));
    let mut card: Value = serde_json::from_slice(&read(&models, "small/model.json")).expect("JSON");
    card["calibration"]["temperature"] =
        serde_json::json!({ "at_one_image": 3.0, "power": -0.5, "images": [1.0, 5.0] });
    fs::write(format!("{models}/small/model.json"), card.to_string()).expect("written");
    let made = json(&[
        "generate",
        "--support",
        &task,
        "--models",
        &models,
        "-o",
        &cnn,
    ]);
    assert_eq!(made["model"], "small");
    assert_eq!(made["labels"], serde_json::json!(["ash", "birch", "cedar"]));
    assert_eq!(made["pictures"], 6);
    assert_eq!(made["invert"], false);
    // Of a class with one picture none can be left out.
    let left_out = &made["leave_one_out"];
    assert_eq!(left_out["all"]["of"], 5);
    assert_eq!(left_out["classes"][1], Value::Null);
    // The temperature of four pictures of each class is half that of one; here are six of three classes.
    let found = made["temperature"].as_f64().expect("a number");
    assert!((found / 3.0 * 2f64.sqrt() - 1.0).abs() < 1e-6, "{made}");
    assert!(
        made["rejection"]["most_doubt"].as_f64() > Some(0.0),
        "{made}"
    );

    // Golden logits come from the tensor library, these from the runtime, through a file's picture.
    let verified = json(&["verify", &cnn]);
    assert_eq!(
        (&verified["images"], &verified["same_label"]),
        (&6.into(), &6.into())
    );
    let predicted = json(&[
        "predict",
        &cnn,
        &here("task/ash"),
        &here("task/birch/0.png"),
    ]);
    let predictions = predicted["predictions"].as_array().expect("a list");
    assert_eq!(predictions.len(), 4);
    for prediction in predictions {
        let probabilities = numbers(&prediction["probabilities"]);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-5);
        let best = probabilities.iter().copied().fold(0.0, f64::max);
        assert_eq!(prediction["probability"].as_f64(), Some(best));
        let most_doubt = made["rejection"]["most_doubt"].as_f64().expect("a number");
        let doubt = prediction["doubt"].as_f64().expect("a number");
        assert!((1.0 - best - doubt).abs() < 1e-5);
        assert_eq!(prediction["accepted"], doubt as f32 <= most_doubt as f32);
        assert!(["ash", "birch", "cedar"].contains(&prediction["label"].as_str().expect("text")));
    }

    // The files for other programs; ht-bundle's tests run them.
    let file = here("file");
    let export = |more: &[&'static str]| {
        json(&[&["export", &cnn, "-o", &file, "--format"], more].concat());
        fs::read(&file).expect("written")
    };
    assert_eq!(export(&["device"]), read(&cnn, "cnn.htcnn"));
    assert!(export(&["device", "--int8"]).len() < export(&["device"]).len() / 2);
    assert!(String::from_utf8_lossy(&export(&["c"])).contains("\"birch\""));
    assert!(String::from_utf8_lossy(&export(&["onnx"])).contains("birch"));
    let both = ["export", &cnn, "-o", &file, "--format", "onnx", "--int8"];
    error(&both, &["--int8"]);

    // Dark ink on light paper is the same task.
    write_drawings(&folder.path().join("ink"), &counts, true);
    let (ink, other) = (here("ink"), here("other"));
    let args = [
        "generate",
        "--support",
        &ink,
        "--models",
        &models,
        "-o",
        &other,
    ];
    let inverted = json(&args);
    assert_eq!(inverted["invert"], true);
    let weights = |bundle: &str| read(bundle, "weights.safetensors");
    assert!(
        weights(&cnn) == weights(&other),
        "the same pictures, another CNN"
    );
    let kept = json(&[&args[..], &["--invert", "never"]].concat());
    assert_eq!(kept["invert"], false);
    assert!(
        weights(&cnn) != weights(&other),
        "other pictures, the same CNN"
    );
}

/// Thresholds of query-batch statistics say nothing of CNNs that see one picture at a time.
#[test]
fn a_calibration_belongs_to_the_statistics_that_it_was_fitted_under() {
    let (folder, small) = model_and_task();
    let here = |name: &str| folder.path().join(name).display().to_string();
    let written = |output: &str| {
        let (task, output) = (here("task"), here(output));
        json(&[
            "generate",
            "--support",
            &task,
            "--model",
            &small,
            "-o",
            &output,
        ])
    };
    let fitted = written("fitted");
    assert!(fitted["temperature"] != 1.0 && fitted["rejection"].is_object());
    // In the manifest the experiment is a text.
    for (file, own, other) in [
        ("model.json", "\"support\"", "\"query-batch\""),
        (
            "manifest.json",
            "= \\\"support\\\"",
            "= \\\"query-batch\\\"",
        ),
    ] {
        let path = format!("{small}/{file}");
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.contains(own), "{text}");
        fs::write(&path, text.replace(own, other)).expect("written");
    }
    let unfitted = written("unfitted");
    assert_eq!(unfitted["temperature"], 1.0);
    assert!(unfitted["rejection"].is_null(), "{unfitted}");
}

/// A file of an old archive or camera.
#[test]
#[cfg(target_os = "linux")]
fn a_name_that_is_no_text_is_shown_as_far_as_it_is() {
    use std::os::unix::ffi::OsStrExt;
    let (folder, small) = model_and_task();
    let here = |name: &str| folder.path().join(name).display().to_string();
    let (task, cnn) = (here("task"), here("cnn"));
    json(&[
        "generate",
        "--support",
        &task,
        "--model",
        &small,
        "-o",
        &cnn,
    ]);
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.png");
    let further = folder.path().join("further");
    fs::create_dir(&further).expect("made");
    fs::copy(here("task/ash/0.png"), further.join(name)).expect("copied");
    let predicted = json(&["predict", &cnn, &here("further")]);
    let picture = predicted["predictions"][0]["picture"].as_str();
    assert!(
        picture.is_some_and(|name| name.ends_with("caf\u{fffd}.png")),
        "{predicted}"
    );
}

#[test]
fn classes_come_and_go() {
    let (folder, _) = scratch();
    let here = |name: &str| folder.path().join(name).display().to_string();
    let models = model(folder.path());
    write_drawings(
        &folder.path().join("task"),
        &[("ash", 2), ("birch", 2), ("cedar", 2)],
        false,
    );
    fs::rename(here("task/cedar"), here("cedar")).expect("moved");
    let (task, cnn, larger) = (here("task"), here("cnn"), here("larger"));
    json(&[
        "generate",
        "--support",
        &task,
        "--models",
        &models,
        "-o",
        &cnn,
    ]);
    let before = read(&cnn, "cnn.htcnn");
    let cedar = here("cedar");
    let added = json(&[
        "add-class",
        &cnn,
        &cedar,
        "--models",
        &models,
        "-o",
        &larger,
    ]);
    assert_eq!(
        added["labels"],
        serde_json::json!(["ash", "birch", "cedar"])
    );

    // All at once gives the same, and so does going back.
    fs::rename(&cedar, here("task/cedar")).expect("moved");
    let whole = here("whole");
    json(&[
        "generate",
        "--support",
        &task,
        "--models",
        &models,
        "-o",
        &whole,
    ]);
    assert_eq!(
        read(&larger, "manifest.json"),
        read(&whole, "manifest.json")
    );
    json(&["remove-class", &larger, "cedar", "--models", &models]);
    assert_eq!(read(&larger, "cnn.htcnn"), before);

    let model = Path::new(&models).join("small").display().to_string();
    let again = ["add-class", &larger, &here("task/ash"), "--model", &model];
    error(&again, &["has a class ash already"]);
    let other = ["add-class", &cnn, &here("task/cedar"), "--model"];
    error(
        &[&other[..], &["models/photographs"]].concat(),
        &["photographs reads 3 x 84 x 84"],
    );
    error(
        &["remove-class", &cnn, "oak", "--model", &model],
        &["no class oak", "ash, birch"],
    );
    error(
        &["remove-class", &cnn, "ash", "--model", &model],
        &["2 classes"],
    );
    let none = here("none");
    fs::create_dir(&none).expect("made");
    let unknown = ["remove-class", &whole, "ash", "--models", &none];
    error(
        &unknown,
        &["no model with the parameters of small", "--model"],
    );
}

#[test]
fn wrong_pictures_and_damaged_bundles_are_named() {
    let (folder, _) = scratch();
    let here = |name: &str| folder.path().join(name).display().to_string();
    let models = model(folder.path());
    let (task, cnn) = (here("task"), here("cnn"));
    let generate = [
        "generate",
        "--support",
        &task,
        "--models",
        &models,
        "-o",
        &cnn,
    ];
    error(
        &generate,
        &["task", "a folder of PNG or JPEG pictures for each class"],
    );
    write_drawings(&folder.path().join("task"), &[("ash", 2)], false);
    error(&generate, &["1 class folder", "expected at least 2"]);
    write_drawings(
        &folder.path().join("task"),
        &[("ash", 2), ("birch", 1)],
        false,
    );
    write_picture(&folder.path().join("task/unlabelled/1.png"), 3);
    let output = command(&generate).output().expect("started");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("trained without unlabelled"),
        "{}",
        stderr(&output)
    );

    // Both files that a program reads are checked.
    for file in ["weights.safetensors", "cnn.htcnn", "golden.safetensors"] {
        let path = folder.path().join("cnn").join(file);
        let whole = fs::read(&path).expect("bytes");
        let mut damaged = whole.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        fs::write(&path, damaged).expect("written");
        error(&["verify", &cnn], &[file]);
        error(&["predict", &cnn, &task], &[file]);
        fs::write(&path, whole).expect("written");
    }
    error(&["predict", &cnn, &here("nothing.png")], &["nothing.png"]);
    error(&["predict", &cnn, &here("task")], &["without PNG or JPEG"]);
    fs::write(here("task/ash/broken.png"), b"\x89PNG\r\n\x1a\n broken").expect("written");
    error(&generate, &["broken.png"]);
    fs::remove_file(here("task/ash/broken.png")).expect("removed");
    let empty = here("task/empty");
    fs::create_dir(&empty).expect("made");
    error(&generate, &["empty", "expected PNG or JPEG"]);
    fs::remove_dir(&empty).expect("removed");
    for n in 0..3 {
        write_picture(&folder.path().join(format!("task/more-{n}/1.png")), 9);
    }
    error(&generate, &["5 classes", "at most 3"]);
    // A folder with something else in it is not overwritten.
    let other = [
        "generate",
        "--support",
        &task,
        "--models",
        &models,
        "-o",
        &models,
    ];
    fs::remove_dir_all(here("task/more-0")).expect("removed");
    fs::remove_dir_all(here("task/more-1")).expect("removed");
    error(&other, &["no bundle"]);
}
