//! The rules of the house, checked by machine.
//!
//! Each rule is a function from the repository's files to findings; `cargo xtask tidy`
//! prints them all, and the tests below hold each rule against the repository and against
//! a made-up violation.

mod layers;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

/// The crate that may name backends, by features of its own.
const BINARY: &str = "hypertransformer";

/// The feature, of the same name as the backend, behind which two crates below it may: the
/// CPU's own loops for the layer operation and for the parts of a transformer block.
const OWN_LOOPS_FEATURE: &str = "flex";
/// Those crates, and where the loops are.
const OWN_LOOPS: [(&str, &str); 2] = [
    ("ht-cnn", "crates/ht-cnn/src/cpu/"),
    ("ht-generator", "crates/ht-generator/src/cpu/"),
];

/// Cargo features of Burn, crates and constructors that stand for one backend.
const BACKEND_FEATURES: [&str; 8] = [
    "flex", "ndarray", "wgpu", "vulkan", "metal", "cuda", "rocm", "tch",
];
const BACKEND_NAMES: [&str; 11] = [
    "DispatchDevice::",
    "Flex,",
    "Device::flex",
    "Device::ndarray",
    "Device::wgpu",
    "Device::vulkan",
    "Device::metal",
    "Device::cuda",
    "Device::libtorch",
    "burn_ndarray",
    "burn_wgpu",
];

/// Files longer than this hold more than one idea.
const MAX_LINES: usize = 420;

/// A file of the repository.
#[derive(Clone, Debug)]
struct Source {
    path: String,
    text: String,
}

/// All findings in a repository; none means tidy.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let rust = files(root, &["crates", "xtask", "benches"], ".rs")?;
    let mut manifests = files(root, &["crates", "xtask", "benches"], "/Cargo.toml")?;
    // Fuzz programs are tests of the crate that they lie in, and workspaces of their own.
    manifests.retain(|manifest| !manifest.path.ends_with("/fuzz/Cargo.toml"));
    let configs = files(root, &["configs"], ".toml")?;
    let docs = files(root, &["docs"], ".md")?;
    let mut findings = layers::arrows(&manifests)?;
    findings.extend(backend_features(&manifests)?);
    findings.extend(backend_names(&rust));
    findings.extend(headers(&rust));
    findings.extend(shapes_of_files(&rust));
    findings.extend(silenced(&rust));
    findings.extend(options(&rust, &configs));
    findings.extend(deviations(&rust, &docs));
    Ok(findings)
}

/// Files below some folders with an ending, sorted by path.
fn files(root: &Path, folders: &[&str], ending: &str) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    let mut rest: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = rest.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                rest.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let path = path.strip_prefix(root).unwrap_or(&path);
                let path = path.to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn parsed(manifests: &[Source]) -> Result<Vec<(String, Table)>> {
    manifests
        .iter()
        .map(|manifest| {
            let table: Table = toml::from_str(&manifest.text)
                .with_context(|| format!("cannot parse {}", manifest.path))?;
            let name = table
                .get("package")
                .and_then(|package| package.get("name"))
                .and_then(Value::as_str)
                .unwrap_or(&manifest.path)
                .to_owned();
            Ok((name, table))
        })
        .collect()
}

fn keys(table: &Table, section: &str) -> Vec<String> {
    let section = table.get(section).and_then(Value::as_table);
    section.map_or_else(Vec::new, |section| section.keys().cloned().collect())
}

/// No crate below the binary turns on a backend, except for its own tests.
fn backend_features(manifests: &[Source]) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for (name, table) in parsed(manifests)? {
        if name == BINARY {
            continue;
        }
        for used in keys(&table, "dependencies") {
            if used.starts_with("burn-") {
                findings.push(format!("{name} uses {used}, expected only burn"));
            }
        }
        let features = table
            .get("dependencies")
            .and_then(|dependencies| dependencies.get("burn"))
            .and_then(|burn| burn.get("features"))
            .and_then(Value::as_array);
        for feature in features.into_iter().flatten().filter_map(Value::as_str) {
            if BACKEND_FEATURES.contains(&feature) {
                findings.push(format!("{name} turns on the backend {feature}"));
            }
        }
        for key in keys(&table, "features") {
            let parts = table["features"][&key].as_array().into_iter().flatten();
            let backends = parts
                .filter_map(|part| part.as_str()?.strip_prefix("burn/"))
                .filter(|part| BACKEND_FEATURES.contains(part));
            let is_own_loops =
                key == OWN_LOOPS_FEATURE && OWN_LOOPS.iter().any(|(owner, _)| *owner == name);
            for backend in backends.filter(|_| !is_own_loops) {
                findings.push(format!("{name} turns on the backend {backend}"));
            }
        }
    }
    Ok(findings)
}

/// No code below the binary names a backend, except tests and examples in comments.
fn backend_names(rust: &[Source]) -> Vec<String> {
    let is_library = |source: &&Source| {
        source.path.starts_with("crates/ht-")
            && source.path.contains("/src/")
            && !OWN_LOOPS
                .iter()
                .any(|(_, folder)| source.path.starts_with(folder))
            && !is_test(source)
    };
    let mut findings = Vec::new();
    for source in rust.iter().filter(is_library) {
        for (line, text) in code(&source.text) {
            for name in BACKEND_NAMES.iter().filter(|name| text.contains(*name)) {
                findings.push(format!("{}:{line}: names the backend {name}", source.path));
            }
        }
    }
    findings
}

fn is_test(source: &Source) -> bool {
    source.path.ends_with("/tests.rs") || source.path.contains("/tests/")
}

/// Lines of code before the tests of a file, without comments, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line))
}

/// Each file opens with its reason.
fn headers(rust: &[Source]) -> Vec<String> {
    rust.iter()
        .filter(|source| {
            let first = source.text.lines().next().unwrap_or_default();
            !(first.starts_with("//! ") && first.len() >= 24)
        })
        .map(|source| format!("{}: does not open with its reason (//! ..)", source.path))
        .collect()
}

/// One idea per file, under a name that says it.
fn shapes_of_files(rust: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in rust {
        let n_lines = source.text.lines().count();
        if n_lines > MAX_LINES {
            let path = &source.path;
            findings.push(format!(
                "{path}: {n_lines} lines, expected at most {MAX_LINES}"
            ));
        }
        let name = source.path.rsplit('/').next().unwrap_or_default();
        if [
            "mod.rs",
            "utils.rs",
            "util.rs",
            "common.rs",
            "helpers.rs",
            "base.rs",
        ]
        .contains(&name)
        {
            findings.push(format!("{}: a name that says nothing", source.path));
        }
    }
    findings
}

/// Nothing unfinished, nothing silenced without a reason, no example without a compiler.
fn silenced(rust: &[Source]) -> Vec<String> {
    // Written in two halves, so that this file does not find itself.
    let forbidden = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ign", "ore"),
        concat!("#[all", "ow("),
        concat!("```ign", "ore"),
        concat!("should_", "panic"),
    ];
    let mut findings = Vec::new();
    for source in rust {
        for (index, line) in source.text.lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(*word)) {
                findings.push(format!("{}:{}: {word}", source.path, index + 1));
            }
        }
    }
    findings
}

/// Every option of the configuration is used by a config or a test.
fn options(rust: &[Source], configs: &[Source]) -> Vec<String> {
    let used: String = configs
        .iter()
        .map(|config| config.text.clone())
        .chain(rust.iter().map(tests_of))
        .collect();
    let mut findings = Vec::new();
    for source in rust {
        for option in config_options(&source.text) {
            let kebab = kebab_case(&option);
            if ![&option, &kebab].iter().any(|name| has_word(&used, name)) {
                let path = &source.path;
                findings.push(format!(
                    "{path}: the option {option} is in no config and no test"
                ));
            }
        }
    }
    findings
}

/// The tests of a file: all of a test file, the test module of another one.
fn tests_of(source: &Source) -> String {
    if is_test(source) {
        return source.text.clone();
    }
    let start = source.text.find("#[cfg(test)]");
    start.map_or_else(String::new, |start| source.text[start..].to_owned())
}

/// Fields and variants of the types that are read from a config: structs and enums that deny
/// unknown fields, and plain enums in kebab case. What is only written does neither.
fn config_options(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut options = Vec::new();
    let mut index = 0;
    while index < lines.len() {
        let is_config =
            lines[index].starts_with("#[derive(") && lines[index].contains("Deserialize");
        if !is_config {
            index += 1;
            continue;
        }
        let mut is_strict = false;
        while index < lines.len() && lines[index].starts_with('#') {
            let line = lines[index];
            is_strict |= line.contains("deny_unknown_fields")
                || line.contains("rename_all") && !line.contains("tag =");
            index += 1;
        }
        let is_enum = lines.get(index).is_some_and(|line| line.contains("enum "));
        index += 1;
        while index < lines.len() && !lines[index].starts_with('}') {
            if is_strict {
                options.extend(option_of(lines[index], is_enum));
            }
            index += 1;
        }
    }
    options
}

fn option_of(line: &str, is_enum: bool) -> Option<String> {
    let text = line.trim();
    let field = text.strip_prefix("pub ").or(is_enum.then_some(text));
    let word: String = field?
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    let after = field?.get(word.len()..)?;
    let is_option = after.starts_with(':') || is_enum && after.starts_with([',', '(', ' ']);
    (is_option && !word.is_empty()).then_some(word)
}

fn kebab_case(name: &str) -> String {
    let mut kebab = String::new();
    for (index, c) in name.chars().enumerate() {
        if c.is_uppercase() && index > 0 {
            kebab.push('-');
        }
        kebab.extend(c.to_lowercase());
    }
    kebab
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Deviations from the paper that the code names are in docs/paper.md, and the reverse.
fn deviations(rust: &[Source], docs: &[Source]) -> Vec<String> {
    let paper = docs.iter().find(|doc| doc.path == "docs/paper.md");
    let Some(paper) = paper else {
        return vec!["docs/paper.md is missing".to_owned()];
    };
    let listed = |number: &str| paper.text.contains(&format!("**{number}**"));
    let mut findings = Vec::new();
    for source in rust {
        for (start, _) in source.text.match_indices("deviation D") {
            let number: String = source.text[start + "deviation ".len()..]
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            let is_number = number.len() > 1 && number[1..].chars().all(|c| c.is_ascii_digit());
            if is_number && !listed(&number) {
                findings.push(format!("{}: {number} is not in docs/paper.md", source.path));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests;
