//! How it was learned: the curves of the run.

use std::path::Path;

use anyhow::Result;
use ht_train::{MetricsLog, RunDir};
use serde_json::json;

use super::super::draw::curves::{self, Curves};
use super::super::page::{Block, Section};
use super::Findings;

/// Adds the curves of a run; a model has none.
pub(in super::super) fn add(findings: &mut Findings, run: Option<&Path>) -> Result<()> {
    let metrics = match run {
        Some(run) => MetricsLog::read(&RunDir::metrics_of(run))?,
        None => Vec::new(),
    };
    let curves = Curves::of(&metrics);
    let blocks = if curves.is_empty() {
        let why = match run {
            Some(_) => "The run has no metrics yet.",
            None => "A model is kept without the metrics of its run.",
        };
        vec![Block::text(format!("{why} There are no curves."))]
    } else {
        let words = "Out of metrics.jsonl. Training figures are means over the steps between two \
                     lines, on episodes of training classes (augmented where the experiment says \
                     so); the points are the fixed validation episodes.";
        vec![Block::text(words), Block::Figure(curves::figure(&curves)?)]
    };
    let n_lines = metrics.len();
    let section = Section::new("Learning curves", blocks);
    findings.add(section, "metrics", json!(n_lines));
    Ok(())
}
