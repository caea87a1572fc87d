//! Every recorded case of the released code is repeated, where the records are at hand, and a
//! record that says something else is found out.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ht_parity::{Case, CaseReport, Deviations, ParityError, case_files, compare, report};
use safetensors::SafeTensors;
use serde_json::{Value, json};

/// A skipped test says so, even where the harness captures what tests print.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The recorded cases: in `HT_PARITY_DIR`, seen from the root of the repository, or beside it.
fn folder() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if let Some(named) = std::env::var_os("HT_PARITY_DIR") {
        let folder = root.join(named);
        assert!(
            folder.is_dir(),
            "HT_PARITY_DIR: no folder {}",
            folder.display()
        );
        return Some(folder);
    }
    let folder = root.join("../shared/parity");
    if folder.is_dir() {
        return Some(folder);
    }
    say("skipped: no recorded cases in ../shared/parity, and HT_PARITY_DIR is not set");
    None
}

/// A case of a given name, where the folder has it.
fn case_file(name: &str) -> Option<PathBuf> {
    let path = folder()?.join(format!("{name}.safetensors"));
    if path.exists() {
        return Some(path);
    }
    say(&format!("skipped in part: no {}", path.display()));
    None
}

fn read(path: &Path) -> Result<Case, ParityError> {
    Case::read(path, &Device::flex().autodiff())
}

/// Reads a copy of a case with a changed description and some more tensors.
fn read_changed(
    path: &Path,
    change: impl FnOnce(&mut Value),
    more: &[&str],
) -> Result<Case, ParityError> {
    let scratch = tempfile::tempdir().expect("a folder");
    let copy = scratch.path().join("case.safetensors");
    let text = fs::read_to_string(path.with_extension("json")).expect("a description");
    let mut description = serde_json::from_str(&text).expect("JSON");
    change(&mut description);
    fs::write(copy.with_extension("json"), description.to_string()).expect("writable");
    let bytes = fs::read(path).expect("a case");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let loss = tensors.tensor("out/loss").expect("recorded");
    let more = more.iter().map(|name| ((*name).to_owned(), loss.clone()));
    let all = tensors.tensors().into_iter().chain(more);
    fs::write(
        &copy,
        safetensors::serialize(all, None).expect("serialised"),
    )
    .expect("writable");
    read(&copy)
}

#[test]
fn every_recorded_case_is_repeated() {
    let Some(folder) = folder() else { return };
    let rows = report(&folder, &Device::flex(), |row| {
        let found = &row.deviations;
        println!(
            "{:20} {:5} tensors, forward {:.1e}, gradient {:.1e}",
            row.name, found.n_compared, found.forward, found.gradient
        );
    })
    .expect("recorded cases");
    let failures: Vec<String> = rows
        .iter()
        .flat_map(|row| {
            let name = row.name.clone();
            let lines = row.deviations.failures.iter().take(8);
            lines.map(move |line| format!("{name}: {line}"))
        })
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(rows.iter().all(CaseReport::is_ok));
    // Recorded functions alone have no steps; the CPU makes those of all others in double precision.
    let with_steps = rows.iter().filter(|row| row.name != "misc");
    let in_doubles = with_steps.map(|row| row.deviations.sgd_in_doubles);
    assert!(in_doubles.clone().count() > 0 && in_doubles.clone().all(|is_so| is_so));
}

#[test]
fn a_wrong_tensor_fails_its_case() {
    if let Some(path) = case_file("semisup") {
        for (name, change) in [
            ("attn/layer_2/enc_1", 1e-3),
            ("gen/layer_3/conv/kernel", 1e-2),
            ("out/loss", 1e-2),
            ("out/sgd_losses", 1e-2),
        ] {
            let mut case = read(&path).expect("a case");
            let recorded = case.recorded.get_mut(name).expect("recorded");
            let last = recorded.values.len() - 1;
            recorded.values[last] += change;
            let found = compare(&case);
            assert!(!found.is_ok(), "{name} changed and nobody saw it");
            assert!(found.failures[0].starts_with(name), "{:?}", found.failures);
        }
    }
    // One parameter in one place: a sample's mask, dropped, changes what its case records.
    if let Some(path) = case_file("decoder") {
        let mut case = read(&path).expect("a case");
        assert!(case.batch.support.hidden.take().is_some());
        assert!(!compare(&case).is_ok());
    }
    // Two terms of a sum, of which the sum is the same.
    if let Some(path) = case_file("gen_bn_bias_vars") {
        let mut case = read(&path).expect("a case");
        let terms = case.recorded.get_mut("out/reg_terms").expect("recorded");
        let change = 0.01 * terms.values[0];
        terms.values[0] += change;
        terms.values[1] -= change;
        let found = compare(&case);
        assert_eq!(found.failures.len(), 1, "{:?}", found.failures);
        assert!(found.failures[0].starts_with("out/reg_terms"));
    }
}

#[test]
fn what_lacks_or_has_another_shape_fails_its_case() {
    let Some(path) = case_file("semisup") else {
        return;
    };
    let mut case = read(&path).expect("a case");
    let names: Vec<String> = case.variables.names().take(2).map(str::to_owned).collect();
    let gradients = [&names[0], &names[1]].map(|name| format!("grad/{name}"));
    for name in ["out/loss", gradients[0].as_str(), gradients[1].as_str()] {
        assert!(case.recorded.remove(name).is_some(), "{name}");
    }
    // It is said to have none, but ours is not zero.
    case.gradients_absent.insert(names[1].clone());
    case.gradients_absent.insert("nothing/kernel".to_owned());
    let stranger = case.recorded["out/loss_ce"].clone();
    case.recorded.insert("out/new".to_owned(), stranger);
    for name in ["blocks/layer_1", "act_query/layer_2"] {
        let recorded = case.recorded.get_mut(name).expect("recorded");
        recorded.shape.reverse();
    }
    let losses = case.recorded.get_mut("out/sgd_losses").expect("recorded");
    losses.shape = vec![2];
    losses.values.truncate(2);
    case.token_shapes
        .insert("layer_2".to_owned(), vec![23, 105]);
    assert!(case.generated.remove("gen/layer_1/conv/kernel"));
    let kernel = case.recorded.remove("gen/layer_4/conv/kernel");
    let learned = "learned/layer_4/conv/kernel";
    case.recorded
        .insert(learned.to_owned(), kernel.expect("recorded"));

    let expected = [
        "token_shapes: layer_2 is [23, 105], ours Some([23, 104])".to_owned(),
        "generated: only one of us generates [\"gen/layer_1/conv/kernel\"]".to_owned(),
        format!("{learned}: learned there and generated here"),
        "out/loss: not recorded".to_owned(),
        format!("{}: not recorded", gradients[0]),
        format!("{}: ", gradients[1]),
        "gradients_absent: nothing/kernel: nothing to compare".to_owned(),
        "act_query/layer_2: shape".to_owned(),
        "blocks/layer_1: shape".to_owned(),
        "out/new: nothing to compare".to_owned(),
        "out/sgd_losses: shape [2], ours [4]".to_owned(),
    ];
    let Deviations { failures, .. } = compare(&case);
    assert_eq!(failures.len(), expected.len(), "{failures:#?}");
    for expected in &expected {
        let is_there = failures.iter().any(|line| line.starts_with(expected));
        assert!(is_there, "{failures:#?} lack {expected}");
    }
}

#[test]
fn a_description_that_does_not_fit_is_refused() {
    let Some(path) = case_file("semisup") else {
        return;
    };
    let extra = "var/loss/shared_head/fc/kernel";
    let error = read_changed(&path, |_| {}, &[extra]).expect_err("a variable too many");
    let error = error.to_string();
    assert!(
        error.contains("loss/shared_head/fc/kernel: it is recorded"),
        "{error}"
    );
    for (flag, value) in [
        ("generator", json!("separate")),
        ("fe_dropout", json!(0.3)),
        ("max_prob_remove_labeled", json!(0.3)),
    ] {
        let change = |description: &mut Value| description["config"][flag] = value;
        let error = read_changed(&path, change, &[])
            .expect_err(flag)
            .to_string();
        assert!(error.contains(&format!("flag {flag} = ")), "{error}");
    }
    let null = |description: &mut Value| description["config"]["l2_reg_weight"] = Value::Null;
    let case = read_changed(&path, null, &[]).expect("null stands for none");
    assert_eq!(case.loss, read(&path).expect("a case").loss);
}

#[test]
fn names_have_the_recorded_roles() {
    let Some(folder) = folder() else { return };
    for file in case_files(&folder).expect("recorded cases") {
        let description = file.with_extension("json");
        // Recorded functions have no variables.
        let Ok(text) = fs::read_to_string(&description) else {
            continue;
        };
        let case: Value = serde_json::from_str(&text).expect("JSON");
        let recorded = case["canonical"].as_object().expect("an object");
        if !recorded.keys().any(|name| name.starts_with("model/")) {
            let place = description.display();
            say(&format!("skipped in part: {place} has names of its own"));
            continue;
        }
        let roles = ht_parity::variable_roles(recorded.keys().map(String::as_str));
        let roles = roles.expect("all names are known");
        assert_eq!(roles.len(), recorded.len());
        for (name, role) in recorded {
            assert_eq!(Some(roles[name].as_str()), role.as_str(), "{name}");
        }
    }
}
