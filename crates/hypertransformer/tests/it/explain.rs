//! The page of what was learned: whole, alone, and with numbers that fit together.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{error, json, names, scratch, write_picture};

const SMOKE: &str = "configs/smoke.toml";
const EXPLAIN: [&str; 4] = ["--episodes", "12", "--test-episodes", "30"];

fn explain(place: &[&str]) -> Value {
    json(&[&["explain"], place, &EXPLAIN[..]].concat())
}

fn page(folder: &str) -> String {
    let page = fs::read_to_string(Path::new(folder).join("index.html"));
    page.expect("a page")
}

/// One file without a script, and nothing in it that a browser would ask another place for.
fn asks_for_nothing(page: &str) {
    let without_names = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for outside in [
        "http:", "https:", "src=", "<script", "<link", "url(", "@import",
    ] {
        assert!(!without_names.contains(outside), "{outside}");
    }
    for part in without_names.split("href=\"").skip(1) {
        assert!(
            part.starts_with("data:image/png;base64,"),
            "{}",
            &part[..40]
        );
    }
    assert!(page.contains("default-src 'none'"));
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_generator_is_explained_in_one_page() {
    let (_folder, run) = scratch();
    let trained = json(&["train", SMOKE, "--run", &run]);
    let found = explain(&[&run]);
    let out = format!("{run}/explain");
    let files = names(&out);
    for file in [
        "attention-layer-1.svg",
        "attention-layer-2.svg",
        "attention-logits.svg",
        "confused-pairs.svg",
        "curves.svg",
        "index.html",
        "kernels-layer-1.png",
        "kernels-layer-1.svg",
        "kernels-layer-2.svg",
        "kernels-logits.svg",
        "map.svg",
        "reliability.svg",
    ] {
        assert!(
            files.iter().any(|name| name == file),
            "no {file}: {files:?}"
        );
    }
    let page = page(&out);
    asks_for_nothing(&page);
    for figure in found["figures"].as_array().expect("figures") {
        let svg = fs::read_to_string(Path::new(&out).join(figure.as_str().expect("a name")));
        assert!(page.contains(&svg.expect("a drawing")), "{figure}");
    }

    // Three layers with one block of two heads; a weight token's attention is one in all.
    let attention = found["attention"].as_array().expect("maps");
    assert_eq!(attention.len(), 6);
    for map in attention {
        let share = number(&map["to_samples"]);
        assert!(share > 0.0 && share < 1.0, "{map}");
        assert!((1.0..=3.0).contains(&number(&map["most"])), "{map}");
        assert_eq!(
            map["own_class"].is_null(),
            map["layer"] != "logits",
            "{map}"
        );
    }
    for layer in found["spread"].as_array().expect("layers") {
        let ratio = number(&layer["deviation"]) / number(&layer["size"]);
        assert!(
            (100.0 * ratio - number(&layer["percent"])).abs() < 1e-6,
            "{layer}"
        );
        assert!(ratio > 0.0, "{layer}");
    }
    let map = &found["map"];
    assert_eq!(map["groups"], serde_json::json!([]));
    assert!(page.contains("The points have one colour"));
    for layer in map["layers"].as_array().expect("layers") {
        let explained: Vec<f64> = layer["explained"]
            .as_array()
            .expect("two shares")
            .iter()
            .map(number)
            .collect();
        assert!(explained[0] >= explained[1], "{layer}");
        assert!(explained.iter().sum::<f64>() <= 1.0 + 1e-9, "{layer}");
    }
    assert_eq!(found["metrics"], 6);

    // The same images as the test's, so the same accuracy.
    let twenty = ["explain", &run, "--episodes", "3", "--test-episodes", "20"];
    let of_twenty = json(&twenty);
    let reliability = &of_twenty["reliability"];
    let accuracy = number(&reliability["accuracy"]);
    assert!((accuracy - number(&trained["test_accuracy"])).abs() < 1e-6);
    assert!(page.contains("own convolutions"));
    let own = &of_twenty["own_convolutions"];
    assert!((number(&own["own"]) - accuracy).abs() < 1e-6, "{own}");
    let difference = number(&own["own"]) - number(&own["mean"]);
    assert!(
        (number(&own["difference"]) - difference).abs() < 1e-6,
        "{own}"
    );
    assert_eq!([&own["episodes"], &own["averaged"]], [20, 3]);
    assert!(of_twenty["added_to_means"].is_null());
    let bins = reliability["bins"].as_array().expect("bins");
    assert_eq!(bins.len(), 15);
    let counts = bins
        .iter()
        .map(|bin| bin["count"].as_u64().expect("a count"));
    assert_eq!(Some(counts.sum()), reliability["images"].as_u64());
    assert!(page.contains("no groups"));
    assert!(found["confusion"]["groups"].is_null());
    for pair in found["confusion"]["pairs"].as_array().expect("pairs") {
        assert!(
            number(&pair["confused"]) <= number(&pair["images"]),
            "{pair}"
        );
        assert!(number(&pair["met"]) >= 1.0, "{pair}");
    }
}

#[test]
fn what_is_added_to_class_means_is_compared_with_them() {
    let (_folder, run) = scratch();
    let on_means = ["--set", "generator.logits_base=class-means"];
    json(&[&["train", SMOKE, "--run", &run], &on_means[..]].concat());
    let found = json(&["explain", &run, "--episodes", "3", "--test-episodes", "20"]);
    let added = &found["added_to_means"];
    assert!(number(&added["gain"]) != 0.0, "{added}");
    let accuracy = number(&found["reliability"]["accuracy"]);
    assert!((number(&added["own"]) - accuracy).abs() < 1e-6, "{added}");
    let difference = number(&added["own"]) - number(&added["means"]);
    assert!(
        (number(&added["difference"]) - difference).abs() < 1e-6,
        "{added}"
    );
    assert_eq!(added["episodes"], 20);
}

/// A data set whose classes have groups, and a baseline, which has no attention.
#[test]
fn groups_are_coloured_and_what_does_not_exist_is_left_out() {
    let (folder, run) = scratch();
    let data = folder.path().join("pictures");
    for (class, group) in (0..16u8).zip(["a<b", "c&d"].into_iter().cycle()) {
        for image in 0..5u8 {
            let path = data.join(format!("{group}/class{class:02}/{image}.png"));
            write_picture(&path, class * 15 + image);
        }
    }
    let smoke = fs::read_to_string(crate::support::root().join(SMOKE)).expect("read");
    let mut table: toml::Table = smoke.parse().expect("TOML");
    table.remove("generator");
    let changes = "baseline = { method = 'proto-net' }
        data = { source = 'folder', image_size = 16, channels = 'grey' }
        split = { by = 'seed', seed = 1, validation = 4, test = 6 }";
    table.extend(changes.parse::<toml::Table>().expect("TOML"));
    let config = folder.path().join("baseline.toml");
    fs::write(&config, table.to_string()).expect("written");
    let config = config.display().to_string();
    let data = data.display().to_string();
    let queries = ["--set", "evaluation.queries=2"];
    json(
        &[
            &["train", &config, "--run", &run, "--data", &data],
            &queries[..],
        ]
        .concat(),
    );

    // Without its result and metrics it can still be explained.
    for file in ["result.json", "metrics.jsonl", "test.jsonl"] {
        fs::remove_file(Path::new(&run).join(file)).expect("removed");
    }
    let out = folder.path().join("page").display().to_string();
    let found = explain(&[&run, "--out", &out]);
    assert_eq!(found["method"], "proto-net");
    assert!(found["attention"].is_null());
    assert!(found["own_convolutions"].is_null());
    let page = page(&out);
    asks_for_nothing(&page);
    for part in [
        "has no transformer",
        "no metrics yet",
        "No convolution is generated",
        "the same in all episodes",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(found["map"]["groups"], serde_json::json!(["a<b", "c&d"]));
    assert!(!page.contains("a<b"), "a name from outside is markup");
    assert_eq!(found["confusion"]["groups"]["number"], 2);
    let files = names(&out);
    assert!(files.iter().any(|name| name == "confused-groups.svg"));
    assert!(!files.iter().any(|name| name.starts_with("attention")));
    assert!(!Path::new(&run).join("explain").exists());
}

#[test]
fn a_broken_run_or_place_is_one_error() {
    let (folder, run) = scratch();
    error(&["explain"], &["RUN"]);
    error(&["explain", &run], &["no run in", &run]);
    let model = ["explain", "--model", "models/omniglot-20way-1shot"];
    error(&model, &["--out"]);
    json(&["train", SMOKE, "--run", &run]);
    error(&["explain", &run, "--episodes", "2"], &["--episodes"]);

    let file = folder.path().join("file");
    fs::write(&file, "no folder").expect("written");
    let file = file.display().to_string();
    error(&["explain", &run, "--out", &file], &["cannot write", &file]);

    // A folder of somebody else's stays as it is.
    let site = folder.path().join("site");
    let out = site.display().to_string();
    for name in ["notes.txt", "index.html"] {
        fs::create_dir_all(&site).expect("made");
        fs::write(site.join(name), "<!doctype html>\nmine").expect("written");
        error(
            &["explain", &run, "--out", &out],
            &[&out, "is not empty", "--out"],
        );
        assert_eq!(names(&site), [name]);
        let kept = fs::read_to_string(site.join(name)).expect("read");
        assert_eq!(kept, "<!doctype html>\nmine");
        fs::remove_dir_all(&site).expect("removed");
    }

    let metrics = Path::new(&run).join("metrics.jsonl");
    fs::write(&metrics, "no line of ours\n").expect("written");
    error(
        &["explain", &run, "--test-episodes", "2"],
        &["metrics.jsonl", "line 1"],
    );
    fs::remove_file(&metrics).expect("removed");
    // Whatever is whole is used; here nothing is.
    for place in ["best", "checkpoints"] {
        let place = Path::new(&run).join(place);
        for checkpoint in names(&place) {
            let parameters = place.join(checkpoint).join("parameters.safetensors");
            fs::write(parameters, "damaged").expect("written");
        }
    }
    error(&["explain", &run], &["damaged checkpoint"]);
}

#[test]
fn tokens_of_classes_are_explained_as_such() {
    let (_folder, run) = scratch();
    let (shots, classes) = ("episodes.shots=2", "generator.sample_tokens=class-means");
    let classes = ["--set", shots, "--set", classes];
    json(&[&["train", SMOKE, "--run", &run], &classes[..]].concat());
    let found = explain(&[&run]);
    let attention = found["attention"].as_array().expect("a list");
    assert!(!attention.is_empty());
    for head in attention {
        // A class has one token: none can get more than all of them.
        let most = number(&head["most"]);
        assert!((1.0..=3.0).contains(&most), "{head}");
    }
    let inspected = json(&[&["inspect", SMOKE], &classes[..]].concat());
    let logits = inspected["layers"].as_array().expect("a list");
    let logits = logits.last().expect("the logits layer");
    let [tokens, slices] = ["tokens", "slices"].map(|key| logits[key].as_u64());
    assert_eq!(tokens, slices.map(|slices| 2 * slices));
}
