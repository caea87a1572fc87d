//! The layers: which of our crates may use which. The arrows point down.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Source, keys, parsed};

const BELOW_TRAINING: &[&str] = &[
    "ht-baselines",
    "ht-cnn",
    "ht-episodes",
    "ht-files",
    "ht-generator",
];
const UP_TO_TRAINING: &[&str] = &["ht-cnn", "ht-episodes", "ht-generator", "ht-train"];
/// Which crate may use which of ours: the architecture.
const ARROWS: [(&str, &[&str]); 12] = [
    ("ht-files", &[]),
    ("ht-episodes", &["ht-files"]),
    ("ht-cnn", &[]),
    ("ht-generator", &["ht-cnn", "ht-episodes"]),
    ("ht-baselines", &["ht-cnn", "ht-episodes", "ht-generator"]),
    ("ht-train", BELOW_TRAINING),
    ("ht-parity", UP_TO_TRAINING),
    ("ht-runtime", &[]),
    ("ht-bundle", &["ht-cnn", "ht-files", "ht-runtime"]),
    (
        "hypertransformer",
        &[
            "ht-bundle",
            "ht-cnn",
            "ht-episodes",
            "ht-files",
            "ht-generator",
            "ht-parity",
            "ht-runtime",
            "ht-train",
        ],
    ),
    ("ht-benches", UP_TO_TRAINING),
    ("xtask", &[]),
];

/// Layers point down: every dependency on a crate of ours is in the table.
pub(super) fn arrows(manifests: &[Source]) -> Result<Vec<String>> {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let mut findings = Vec::new();
    for (name, table) in parsed(manifests)? {
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            findings.push(format!(
                "{name}: a crate without a row in the arrows of xtask/src/tidy/layers.rs"
            ));
            continue;
        };
        let used = ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .flat_map(|section| keys(&table, section));
        for used in used.filter(|used| ours.contains(used.as_str())) {
            if !allowed.contains(&used.as_str()) {
                findings.push(format!("{name} uses {used}: an arrow that points up"));
            }
        }
    }
    Ok(findings)
}
