//! What is known of the rows: `docs/results.json`, and the table that is made of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ht_cnn::NormStatistics;
use serde::{Deserialize, Serialize};

use super::rows::Rows;

/// Where the table stands in the document.
const MARKS: [&str; 2] = ["<!-- rows -->", "<!-- /rows -->"];

/// One measured row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Recorded {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) norm_statistics: NormStatistics,
    pub(super) accuracy: f64,
    pub(super) ci95: f64,
    pub(super) episodes: usize,
    pub(super) paper: Option<f64>,
    /// The row that it is compared with, and how far it is behind that, paired by episode.
    pub(super) against: Option<String>,
    pub(super) behind: Option<f64>,
    pub(super) behind_ci95: Option<f64>,
    pub(super) pixel_nn: f64,
    pub(super) channels: usize,
    pub(super) cnn_weights: usize,
    pub(super) cnn_multiply_adds: usize,
    pub(super) config: PathBuf,
    pub(super) set: Vec<String>,
    pub(super) seed: u64,
    pub(super) train_episodes: u64,
    pub(super) hours: f64,
    pub(super) machine: Option<String>,
    pub(super) device: String,
    pub(super) parameters_sha256: String,
    pub(super) episodes_sha256: String,
}

/// All measured rows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) rows: Vec<Recorded>,
}

impl Results {
    /// Reads the file, if there is one.
    pub(super) fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The row with an id.
    pub(super) fn get(&self, id: &str) -> Option<&Recorded> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Recorded> {
        self.rows.iter_mut().find(|row| row.id == id)
    }

    /// Takes a row in, in the place of what was known of it.
    pub(super) fn keep(&mut self, recorded: Recorded) {
        match self.rows.iter_mut().find(|row| row.id == recorded.id) {
            Some(row) => *row = recorded,
            None => self.rows.push(recorded),
        }
    }

    /// Writes the file, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        replace(path, &format!("{text}\n"))
    }
}

/// Writes beside a file and renames.
fn replace(path: &Path, text: &str) -> Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text)
        .and_then(|()| std::fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Puts the table of all rows between its marks in the document.
pub(super) fn write_tables(rows: &Rows, results: &Results, document: &Path) -> Result<()> {
    let text = std::fs::read_to_string(document)
        .with_context(|| format!("cannot read {}", document.display()))?;
    let [start, end] = MARKS.map(|mark| text.find(mark));
    let (Some(start), Some(end)) = (start, end.filter(|&end| Some(end) > start)) else {
        bail!(
            "{} has no {} before {}",
            document.display(),
            MARKS[0],
            MARKS[1]
        );
    };
    let (before, after) = (&text[..start], &text[end..]);
    let table = table(rows, results);
    replace(document, &format!("{before}{}\n{table}{after}", MARKS[0]))
}

fn table(rows: &Rows, results: &Results) -> String {
    let mut table = String::from(
        "| row | what | method, statistics | test accuracy | n | paper | behind the row above it is compared with | episodes, hours |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in &rows.all {
        let (id, title) = (&row.id, &row.title);
        let paper = row
            .paper
            .map_or(String::new(), |paper| format!("{paper:.1}"));
        let Some(found) = results.get(id) else {
            let _ = writeln!(table, "| `{id}` | {title} | | not run | | {paper} | | |");
            continue;
        };
        let behind = match (found.behind, found.behind_ci95) {
            (Some(behind), Some(ci95)) => format!("{behind:+.2} ± {ci95:.2}"),
            _ => String::new(),
        };
        let _ = writeln!(
            table,
            "| `{id}` | {title} | {}, {} | **{:.2} ± {:.2}** | {} | {paper} | {behind} | {}, {:.2} |",
            found.method,
            found.norm_statistics.name(),
            found.accuracy,
            found.ci95,
            found.episodes,
            found.train_episodes,
            found.hours,
        );
    }
    table
}
