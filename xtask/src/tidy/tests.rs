//! The repository is tidy, and each rule finds a made-up violation.

use super::*;

fn source(path: &str, text: &str) -> Vec<Source> {
    vec![Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }]
}

fn found(findings: &[String], expected: &str) {
    let is_found = findings.iter().any(|finding| finding.contains(expected));
    assert!(is_found, "{findings:?} lacks {expected:?}");
}

#[test]
fn the_repository_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("root");
    assert_eq!(check(root).expect("readable"), [] as [String; 0]);
}

#[test]
fn an_arrow_up_is_found() {
    let text = "[package]\nname = 'ht-cnn'\n[dependencies]\nht-generator = '1'";
    let findings = layers::arrows(&source("crates/ht-cnn/Cargo.toml", text)).expect("parses");
    found(&findings, "ht-cnn uses ht-generator");
    let text = "[package]\nname = 'ht-new'";
    let findings = layers::arrows(&source("crates/ht-new/Cargo.toml", text)).expect("parses");
    found(&findings, "ht-new: a crate without a row");
}

#[test]
fn a_backend_below_the_binary_is_found() {
    let manifest = |section: &str| {
        format!("[package]\nname = 'ht-cnn'\n[{section}]\nburn = {{ features = ['flex'] }}")
    };
    let check = |text: &str| backend_features(&source("Cargo.toml", text)).expect("parses");
    found(
        &check(&manifest("dependencies")),
        "turns on the backend flex",
    );
    assert!(check(&manifest("dev-dependencies")).is_empty());
    found(
        &check("[package]\nname = 'ht-cnn'\n[dependencies]\nburn-wgpu = '1'"),
        "burn-wgpu",
    );
    let code =
        "//! Doc.\n// Device::flex()\nlet d = Device::cuda(0);\n#[cfg(test)]\nDevice::flex()";
    let findings = backend_names(&source("crates/ht-cnn/src/a.rs", code));
    found(&findings, "a.rs:3: names the backend Device::cuda");
    assert_eq!(findings.len(), 1);

    let feature = |name: &str, key: &str| {
        check(&format!(
            "[package]\nname = '{name}'\n[features]\n{key} = ['burn/flex']"
        ))
    };
    found(
        &feature("ht-train", "flex"),
        "ht-train turns on the backend flex",
    );
    found(
        &feature("ht-cnn", "default"),
        "ht-cnn turns on the backend flex",
    );
    assert!(feature("ht-cnn", "flex").is_empty());
    let code = source(
        "crates/ht-cnn/src/cpu/a.rs",
        "impl Operation for Autodiff<Flex, C> {}",
    );
    assert!(backend_names(&code).is_empty());
}

#[test]
fn bad_files_are_found() {
    found(&headers(&source("a.rs", "use std::fs;")), "does not open");
    found(&headers(&source("a.rs", "//! x")), "does not open");
    found(
        &shapes_of_files(&source("a.rs", &"\n".repeat(421))),
        "421 lines",
    );
    found(
        &shapes_of_files(&source("src/utils.rs", "")),
        "says nothing",
    );
    let text = format!("    {}{}", "todo", "!()");
    found(&silenced(&source("a.rs", &text)), "a.rs:1");
}

#[test]
fn an_unused_option_is_found() {
    let code = "#[derive(Debug, Deserialize)]\n#[serde(deny_unknown_fields)]\n\
                pub struct C {\n    /// Doc.\n    pub used: u8,\n    pub unused: u8,\n}\n\
                #[derive(Deserialize)]\n#[serde(rename_all = \"kebab-case\")]\n\
                pub enum E {\n    FirstArm,\n    SecondArm { width: u8 },\n}\n";
    let config = "used = 1\ne = 'first-arm'\n";
    let findings = options(&source("a.rs", code), &source("c.toml", config));
    found(&findings, "the option unused");
    found(&findings, "the option SecondArm");
    assert_eq!(findings.len(), 2, "{findings:?}");
}

#[test]
fn an_unlisted_deviation_is_found() {
    let docs = source("docs/paper.md", "- **D1** norm last");
    let code = format!("// {} D1, {} D2.", "deviation", "deviation");
    found(
        &deviations(&source("a.rs", &code), &docs),
        "D2 is not in docs/paper.md",
    );
}
