//! What the page says, section by section: each computes, draws, and puts it in words.

pub(super) mod added_to_means;
pub(super) mod attention;
pub(super) mod own_convolutions;
mod paired;
pub(super) mod predictions;
pub(super) mod training;
pub(super) mod weights;

use serde_json::{Map, Value};

use super::page::Section;

/// What was found: for people, and for programs.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The page.
    pub(super) sections: Vec<Section>,
    /// The keys of `--json`.
    pub(super) values: Map<String, Value>,
}

impl Findings {
    /// Adds a section, and its numbers under a key.
    pub(super) fn add(&mut self, section: Section, key: &str, value: Value) {
        self.sections.push(section);
        self.values.insert(key.to_owned(), value);
    }
}
