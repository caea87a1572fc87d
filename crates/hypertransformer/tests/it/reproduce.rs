//! The rows of the tables: trained once, left alone when done, checked against what is recorded.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{command, error, json, root, scratch, stderr};

const ROWS: &str = "
[[table]]
title = 'small ones'

[[table.row]]
id = 'small'
title = 'a small one'
config = 'configs/smoke.toml'
paper = 50.0

[[table.row]]
id = 'other'
title = 'another seed'
config = 'configs/smoke.toml'
set = ['seed=2']
against = 'small'

[[table.row]]
id = 'further'
title = 'gone on'
config = 'configs/smoke.toml'
start = 'small'

[[table.row]]
id = 'absent'
title = 'waits for its data'
config = 'configs/omniglot-5way-1shot.toml'
data = 'omniglot'
cause = 'its data are not at hand'
";

/// A folder with the rows, and a document that waits for them, away from the repository's own.
struct Scratch {
    folder: TempDir,
    runs: String,
    table: String,
    results: String,
    document: String,
    records: String,
    figures: String,
}

impl Scratch {
    fn new() -> Self {
        let (folder, runs) = scratch();
        let here = |name: &str| folder.path().join(name).display().to_string();
        let (table, document) = (here("rows.toml"), here("doc.md"));
        fs::write(&table, ROWS).expect("written");
        fs::write(&document, "<!-- rows -->\n<!-- /rows -->\n").expect("written");
        Self {
            runs,
            table,
            results: here("results.json"),
            document,
            records: here("records"),
            figures: here("figures"),
            folder,
        }
    }

    /// The command with these arguments.
    fn reproduce<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let places = [
            "--runs",
            &self.runs,
            "--table",
            &self.table,
            "--results",
            &self.results,
            "--document",
            &self.document,
            "--records",
            &self.records,
            "--figures",
            &self.figures,
        ];
        [&["reproduce"], args, &places].concat()
    }
}

/// Two may train rows side by side: what one writes while the other is at work must stay.
#[test]
fn a_row_is_written_into_what_the_file_says_by_then() {
    let scratch = Scratch::new();
    let reproduce = |row: &'static str| scratch.reproduce(&[row]);
    let Scratch {
        runs,
        table,
        results,
        ..
    } = &scratch;
    json(&reproduce("small"));
    let theirs = fs::read_to_string(results).expect("text");
    fs::remove_file(results).expect("removed");

    // The other process holds the lock, and writes its row while this one waits.
    let lock = fs::File::open(table).expect("opened");
    lock.lock().expect("locked");
    let mut child = command(&reproduce("other")).spawn().expect("started");
    let measured = Path::new(runs).join("other/test-support.jsonl");
    let started = Instant::now();
    while !measured.exists() && started.elapsed() < Duration::from_mins(2) {
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(300));
    assert!(
        child.try_wait().expect("asked").is_none(),
        "it did not wait"
    );
    assert!(!Path::new(&results).exists());
    fs::write(results, theirs).expect("written");
    drop(lock);
    assert!(child.wait().expect("ended").success());
    let both = fs::read_to_string(results).expect("text");
    let both: serde_json::Value = serde_json::from_str(&both).expect("JSON");
    assert_eq!(both["rows"].as_array().map(Vec::len), Some(2), "{both}");
}

#[test]
fn a_check_is_made_anew_and_a_row_that_starts_elsewhere_now_is_refused() {
    let scratch = Scratch::new();
    let reproduce = |args: &[&'static str]| scratch.reproduce(args);
    let Scratch {
        runs,
        table,
        results,
        ..
    } = &scratch;
    let rows = json(&reproduce(&["small", "further"]));
    let small = &rows["rows"][0];

    let recorded = fs::read_to_string(results).expect("text");
    let accuracy = format!("\"accuracy\": {}", small["accuracy"]);
    assert!(recorded.contains(&accuracy));
    fs::write(
        results,
        recorded.replacen(&accuracy, "\"accuracy\": 0.0", 1),
    )
    .expect("written");
    error(
        &reproduce(&["--check", "small"]),
        &["points apart, expected at most"],
    );

    // A check that failed is made anew, whatever its run says of itself.
    fs::write(results, recorded).expect("written");
    let failed = Path::new(runs).join("check-small/result.json");
    let text = fs::read_to_string(&failed).expect("text");
    let mean = format!("\"mean\": {}", small["accuracy"]);
    assert!(text.contains(&mean), "{text}");
    fs::write(&failed, text.replacen(&mean, "\"mean\": 0.0", 1)).expect("written");
    let checked = json(&reproduce(&["--check", "small"]));
    assert_eq!(checked["same_parameters"], true);
    assert_eq!(checked["method"], "hypertransformer");
    for number in ["ci95", "recorded_ci95", "allowed", "episodes"] {
        assert!(checked[number].as_f64() > Some(0.0), "{checked}");
    }

    // A row that starts elsewhere now is not what was trained.
    fs::write(table, ROWS.replace("start = 'small'", "start = 'other'")).expect("written");
    error(
        &reproduce(&["further"]),
        &["further started from", "small", "but the row from", "other"],
    );
    let fitting = "start = 'small'\nstart_part = 'fitting'";
    fs::write(table, ROWS.replace("start = 'small'", fitting)).expect("written");
    error(
        &reproduce(&["further"]),
        &["from all of", "but the row from what fits of"],
    );
    // Under another name it is a row of its own.
    let fits = ROWS.replace("start = 'small'", fitting);
    fs::write(table, fits.replace("'further'", "'fits'")).expect("written");
    json(&reproduce(&["fits"]));
    let info = fs::read_to_string(Path::new(runs).join("fits/run.json")).expect("text");
    assert!(info.contains(r#""start_part": "fitting""#), "{info}");
    fs::write(
        table,
        ROWS.replace("start = 'small'", "start_part = 'fitting'"),
    )
    .expect("written");
    error(&reproduce(&["small"]), &["row further has start_part"]);
}

#[test]
fn rows_are_trained_once_and_written_into_the_document() {
    let scratch = Scratch::new();
    let text = "before\n<!-- rows -->\nold\n<!-- /rows -->\nafter\n";
    fs::write(&scratch.document, text).expect("written");
    let reproduce = |args: &[&'static str]| scratch.reproduce(args);
    let Scratch {
        runs,
        document,
        figures,
        ..
    } = &scratch;

    // The row that it starts from is trained before it, and said to be.
    let output = command(&reproduce(&["further"])).output().expect("started");
    let said = stderr(&output);
    for part in ["further starts from small", "that is trained first"] {
        assert!(said.contains(part), "{said}");
    }
    let first = json(&reproduce(&["small", "other", "further"]));
    assert_eq!(first["rows"].as_array().map(Vec::len), Some(3));
    let [further, small, other] = [0, 1, 2].map(|n| &first["rows"][n]);
    assert_eq!([&further["id"], &small["id"]], ["further", "small"]);
    assert_eq!(small["paper"], 50.0);
    assert_eq!(other["against"], "small");
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let behind = number(&small["accuracy"]) - number(&other["accuracy"]);
    assert!((number(&other["behind"]) - behind).abs() < 1e-9, "{other}");

    let document = fs::read_to_string(document).expect("text");
    assert!(
        document.starts_with("before\n<!-- rows -->\n\n### small ones\n\nTest episodes: SHA-256 `"),
        "{document}"
    );
    assert!(document.ends_with("<!-- /rows -->\nafter\n"), "{document}");
    // The floor under all rows of a table, as each of them has measured it.
    let pixels = [&small["pixel_nn"], &small["pixel_nn_ci95"]].map(number);
    let pixels = format!(
        "Pixel nearest neighbour on them: **{:.2} ± {:.2}** (n = {})",
        pixels[0], pixels[1], small["episodes"]
    );
    for part in [
        pixels.as_str(),
        "`small` | a small one",
        "`further` | gone on",
        "24, 0.00 (48, 0.00) |",
        "`absent` | waits for its data | | not run: its data are not at hand |",
    ] {
        assert!(document.contains(part), "{document}");
    }
    assert!(!document.contains("old"));
    let figure = |name: &str| fs::read_to_string(Path::new(figures).join(name));
    let hours = figure("accuracy-hours.svg").expect("drawn");
    assert!(
        hours.contains("hours of training") && hours.contains("all layers generated"),
        "{hours}"
    );
    // All have as many channels: there is nothing to see.
    assert!(figure("accuracy-channels.svg").is_err());

    // Each generator is tested under both statistics, on the same episodes.
    let run = Path::new(runs).join("small").display().to_string();
    let args = ["evaluate", "--run", &run, "--norm-statistics", "support"];
    let measured = json(&args);
    let under = &small["other_statistics"];
    assert_eq!(under["norm_statistics"], "support");
    assert_eq!(under["accuracy"], measured["accuracy"]);
    let change = number(&under["accuracy"]) - number(&small["accuracy"]);
    assert!((number(&under["change"]) - change).abs() < 1e-9, "{small}");
    // Beside a figure of the paper stands ours on episodes as the paper's code draws them.
    let whole_class = ["--set", "episodes.query_pool=whole-class"];
    let measured = json(&[&["evaluate", "--run", &run], &whole_class[..]].concat());
    let again = &small["whole_class_queries"];
    assert_eq!(again["accuracy"], measured["accuracy"]);
    assert_ne!(again["accuracy"], small["accuracy"]);
    assert!(other["whole_class_queries"].is_null(), "{other}");
    // A row that goes on from another is not that row.
    assert_eq!(further["start"], "small");
    assert_ne!(further["parameters_sha256"], small["parameters_sha256"]);

    // What is done is left alone, and what is recorded is found again.
    let output = command(&reproduce(&["small"])).output().expect("started");
    assert!(
        stderr(&output).contains("small: done already"),
        "{}",
        stderr(&output)
    );
    let checked = json(&reproduce(&["--check", "small"]));
    assert_eq!(checked["same_parameters"], true);

    error(
        &reproduce(&["nothing"]),
        &["no row nothing", "small, other, further, absent"],
    );
    error(
        &reproduce(&["absent"]),
        &["absent reads the data set omniglot", "--data"],
    );
    let unwritten = reproduce(&["--check", "absent"]);
    error(&unwritten, &["has no row absent"]);
}

#[test]
fn rows_are_compared_by_records_that_outlive_their_runs() {
    let scratch = Scratch::new();
    let reproduce = |args: &[&'static str]| scratch.reproduce(args);
    let runs = &scratch.runs;
    let first = json(&reproduce(&["further", "small", "other"]));
    let other = &first["rows"][2];
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    // Results by episode stay beside those of the rows, for whoever has not the runs.
    let records = ["small", "other"].map(|id| format!("{}/{id}.jsonl", scratch.records));
    let run = fs::read(Path::new(runs).join("small/test.jsonl")).expect("bytes");
    assert_eq!(fs::read(&records[0]).expect("bytes"), run);
    let compared = json(&["compare", &records[0], &records[1]]);
    assert_eq!(compared["difference"], other["behind"]);
    // A row is compared by its run where it has no records, and a comparison outlives both. What is
    // done needs no start.
    fs::remove_file(&records[0]).expect("removed");
    let rows = json(&reproduce(&["other"]));
    assert_eq!(rows["rows"][2]["behind"], other["behind"]);
    fs::remove_dir_all(Path::new(runs).join("small")).expect("removed");
    let rows = json(&reproduce(&["other", "further"]));
    assert_eq!(rows["rows"][2]["behind"], other["behind"]);
    assert!(!Path::new(runs).join("small").exists());
    // Against another row it is another one.
    let changed = ROWS.replace("against = 'small'", "against = 'further'");
    fs::write(&scratch.table, changed).expect("written");
    let rows = json(&reproduce(&["other"]));
    let behind = number(&rows["rows"][0]["accuracy"]) - number(&other["accuracy"]);
    assert!((number(&rows["rows"][2]["behind"]) - behind).abs() < 1e-9);
}

#[test]
fn rows_on_other_episodes_have_lines_of_their_own() {
    let scratch = Scratch::new();
    let elsewhere = "\n[[table.row]]\nid = 'elsewhere'\ntitle = 'other episodes'\n\
                     config = 'configs/smoke.toml'\nset = ['evaluation.seed=9']\n";
    fs::write(&scratch.table, format!("{ROWS}{elsewhere}")).expect("written");
    json(&scratch.reproduce(&["small", "other", "elsewhere"]));
    let document = fs::read_to_string(&scratch.document).expect("text");
    for part in [
        "Test episodes of `small`, `other`: SHA-256",
        "Test episodes of `elsewhere`: SHA-256",
    ] {
        assert!(document.contains(part), "{document}");
    }
}

#[test]
fn the_rows_of_the_repository_can_be_trained() {
    let text = fs::read_to_string(root().join("configs/reproduce/rows.toml")).expect("text");
    let tables: toml::Table = text.parse().expect("TOML");
    let tables = tables["table"].as_array().expect("tables");
    let rows = tables
        .iter()
        .flat_map(|table| table["row"].as_array().expect("rows"));
    let mut n_rows = 0;
    for row in rows {
        n_rows += 1;
        let mut args = vec!["inspect", row["config"].as_str().expect("a config")];
        let changes = row.get("set").and_then(toml::Value::as_array);
        for change in changes.into_iter().flatten() {
            args.extend(["--set", change.as_str().expect("text")]);
        }
        assert!(json(&args)["cnn_weights"].as_u64() > Some(0));
    }
    assert!(n_rows >= 40);
}

#[test]
fn the_smallest_row_is_what_is_recorded() {
    let (_folder, runs) = scratch();
    let checked = json(&["reproduce", "--check", "quick", "--runs", &runs]);
    assert_eq!(checked["id"], "quick");
}

#[test]
fn a_row_that_goes_on_from_a_model_is_the_one_that_goes_on_from_its_run() {
    let scratch = Scratch::new();
    let models = scratch.folder.path().join("models").display().to_string();
    let reproduce = |args: &[&'static str]| scratch.reproduce(args);
    let Scratch { runs, table, .. } = &scratch;
    let from_model = format!(
        "\n[[table.row]]\nid = 'from-model'\ntitle = 'gone on from a model'\n\
         config = 'configs/smoke.toml'\nstart_model = '{models}/small'\n"
    );
    fs::write(table, format!("{ROWS}{from_model}")).expect("written");
    fs::create_dir(&models).expect("made");
    error(
        &reproduce(&["from-model"]),
        &[
            "start_model",
            "models/small is no model, expected a folder with model.json",
        ],
    );
    json(&reproduce(&["small", "further"]));
    let run = Path::new(runs).join("small").display().to_string();
    json(&[
        "models", "--folder", &models, "--add", &run, "--name", "small",
    ]);
    let rows = json(&reproduce(&["from-model"]));
    let [_, further, from_model] = [0, 1, 2].map(|n| &rows["rows"][n]);
    assert_eq!(from_model["start"], format!("{models}/small"));
    assert_eq!(
        from_model["parameters_sha256"],
        further["parameters_sha256"]
    );
}
