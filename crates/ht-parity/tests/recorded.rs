//! Every recorded case of the released code is repeated, where the records are at hand.

use std::path::PathBuf;

use burn::tensor::Device;
use ht_parity::report;

fn folder() -> PathBuf {
    std::env::var_os("HT_PARITY_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/parity"),
        PathBuf::from,
    )
}

#[test]
fn every_recorded_case_is_repeated() {
    let folder = folder();
    if !folder.is_dir() {
        println!("skipped: no recorded cases in {}", folder.display());
        return;
    }
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
    assert!(rows.iter().all(ht_parity::CaseReport::is_ok));
}

#[test]
fn a_wrong_tensor_fails_its_case() {
    use ht_parity::{Case, compare};
    let path = folder().join("semisup.safetensors");
    if !path.exists() {
        println!("skipped: no {}", path.display());
        return;
    }
    let device = Device::flex().autodiff();
    for (name, change) in [
        ("attn/layer_2/enc_1", 1e-3),
        ("gen/layer_3/conv/kernel", 1e-2),
        ("out/loss", 1e-2),
        ("out/sgd_losses", 1e-2),
    ] {
        let mut case = Case::read(&path, &device).expect("a case");
        let recorded = case.recorded.get_mut(name).expect("recorded");
        let last = recorded.values.len() - 1;
        recorded.values[last] += change;
        let found = compare(&case);
        assert!(!found.is_ok(), "{name} changed and nobody saw it");
        assert!(found.failures[0].starts_with(name), "{:?}", found.failures);
    }
    let mut case = Case::read(&path, &device).expect("a case");
    let stranger = case.recorded["out/loss"].clone();
    case.recorded
        .insert("out/something_new".to_owned(), stranger);
    assert!(compare(&case).failures[0].contains("nothing to compare"));
    // One parameter in one place: a sample's mask, dropped, changes what its case records.
    let path = folder().join("decoder.safetensors");
    let mut case = Case::read(&path, &device).expect("a case");
    assert!(case.batch.support.hidden.take().is_some());
    assert!(!compare(&case).is_ok());
}

#[test]
fn names_have_the_recorded_roles() {
    let folder = folder();
    let Ok(files) = ht_parity::case_files(&folder) else {
        println!("skipped: no recorded cases in {}", folder.display());
        return;
    };
    let mut n_cases = 0;
    for file in files {
        let Ok(text) = std::fs::read_to_string(file.with_extension("json")) else {
            continue;
        };
        let case: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let recorded = case["canonical"].as_object().expect("an object");
        let roles = ht_parity::variable_roles(recorded.keys().map(String::as_str));
        let roles = roles.expect("all names are known");
        assert_eq!(roles.len(), recorded.len());
        for (name, role) in recorded {
            assert_eq!(Some(roles[name].as_str()), role.as_str(), "{name}");
        }
        n_cases += 1;
    }
    assert!(n_cases > 0);
}
