//! What is known of the rows: `docs/results.json`, and the table that is made of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ht_cnn::NormStatistics;
use ht_files::durable;
use ht_train::{Accuracy, StartPart};
use serde::{Deserialize, Serialize};

use super::super::models;
use super::rows::{Row, Tables};

/// Where the table stands in the document.
const MARKS: [&str; 2] = ["<!-- rows -->", "<!-- /rows -->"];

/// A row under the batch-norm statistics that it was not trained with.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct OtherStatistics {
    pub(super) norm_statistics: NormStatistics,
    pub(super) accuracy: f64,
    pub(super) ci95: f64,
    /// What is gained by them, paired by episode.
    pub(super) change: f64,
    pub(super) change_ci95: f64,
}

/// A row on episodes whose query images may be support images too.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct WholeClassQueries {
    pub(super) accuracy: f64,
    pub(super) ci95: f64,
}

/// What a row cost with the rows that it started from, all the way back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct InAll {
    pub(super) train_episodes: u64,
    pub(super) hours: f64,
}

/// One measured row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    pub(super) other_statistics: Option<OtherStatistics>,
    pub(super) whole_class_queries: Option<WholeClassQueries>,
    /// Pixel nearest neighbour on the same episodes.
    pub(super) pixel_nn: f64,
    /// None where the row was recorded before there was one.
    pub(super) pixel_nn_ci95: Option<f64>,
    pub(super) channels: usize,
    pub(super) cnn_weights: usize,
    pub(super) cnn_multiply_adds: usize,
    pub(super) config: PathBuf,
    pub(super) set: Vec<String>,
    /// The row that it started from.
    pub(super) start: Option<String>,
    /// What it took from there, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start_part: Option<StartPart>,
    pub(super) seed: u64,
    pub(super) train_episodes: u64,
    pub(super) hours: f64,
    /// None where a row that it started from is not known.
    pub(super) in_all: Option<InAll>,
    pub(super) machine: Option<String>,
    pub(super) device: String,
    pub(super) parameters_sha256: String,
    pub(super) episodes_sha256: String,
    /// None where the row was recorded before there was one.
    pub(super) data_sha256: Option<String>,
}

/// All measured rows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

    fn get_mut(&mut self, id: &str) -> Option<&mut Recorded> {
        self.rows.iter_mut().find(|row| row.id == id)
    }

    /// Notes how far a row is behind another, or that it is not known.
    pub(super) fn set_behind(&mut self, id: &str, against: &str, behind: Option<Accuracy>) {
        if let Some(row) = self.get_mut(id) {
            row.against = Some(against.to_owned());
            row.behind = behind.map(|behind| behind.mean);
            row.behind_ci95 = behind.map(|behind| behind.ci95);
        }
    }

    /// Takes a row in, in the place of what was known of it. Of the same row on the same episodes a
    /// comparison stays: the records that it was compared with may be gone.
    pub(super) fn keep(&mut self, recorded: Recorded) {
        let identity = |row: &Recorded| {
            let digests = [&row.parameters_sha256, &row.episodes_sha256].map(String::clone);
            (digests, row.against.clone())
        };
        match self.rows.iter_mut().find(|row| row.id == recorded.id) {
            Some(row) if identity(row) == identity(&recorded) => {
                let (behind, behind_ci95) = (row.behind, row.behind_ci95);
                *row = Recorded {
                    behind,
                    behind_ci95,
                    ..recorded
                };
            }
            Some(row) => *row = recorded,
            None => self.rows.push(recorded),
        }
    }

    /// Adds up what each row cost with those that it started from. Rows stand below what they start from.
    pub(super) fn add_up(&mut self, tables: &Tables) -> Result<()> {
        for row in tables.rows() {
            let before = match (&row.start, &row.start_model) {
                (Some(start), _) => self.get(start).map(|start| start.in_all),
                (None, Some(model)) if models::is_model(model) => {
                    let digest = models::Card::read(model)?.parameters_sha256;
                    let mut rows = self.rows.iter();
                    let origin = rows.find(|row| row.parameters_sha256 == digest);
                    origin.map(|origin| origin.in_all)
                }
                (None, Some(_)) => None,
                (None, None) => Some(Some(InAll {
                    train_episodes: 0,
                    hours: 0.0,
                })),
            };
            let Some(found) = self.get_mut(&row.id) else {
                continue;
            };
            found.in_all = before.flatten().map(|before| InAll {
                train_episodes: before.train_episodes + found.train_episodes,
                hours: before.hours + found.hours,
            });
        }
        Ok(())
    }

    /// Writes the file, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        Ok(durable::replace_file(path, format!("{text}\n").as_bytes())?)
    }
}

/// Puts the tables between their marks in the document.
pub(super) fn write_tables(tables: &Tables, results: &Results, document: &Path) -> Result<()> {
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
    let mut text = String::new();
    for table in &tables.all {
        let lines = lines(&table.rows, results);
        let episodes = test_episodes(&table.rows, results);
        let _ = write!(text, "\n### {}\n\n{episodes}{HEAD}{lines}", table.title);
    }
    let text = format!("{before}{}\n{text}{after}", MARKS[0]);
    Ok(durable::replace_file(document, text.as_bytes())?)
}

const HEAD: &str = "| row | what | method, statistics | test accuracy | n | paper | queries of the whole class | behind | under the other statistics | episodes, hours (with its start) |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

/// Which episodes a table's rows were tested on, and what comparing pixels is worth on them: once for
/// all rows where they are the same.
fn test_episodes(rows: &[Row], results: &Results) -> String {
    let mut lists: Vec<(&Recorded, Vec<&str>)> = Vec::new();
    for row in rows.iter().filter_map(|row| results.get(&row.id)) {
        let digest = &row.episodes_sha256;
        match (lists.iter_mut()).find(|(first, _)| first.episodes_sha256 == *digest) {
            Some((first, ids)) => {
                ids.push(&row.id);
                // Rows of before had no interval.
                if first.pixel_nn_ci95.is_none() {
                    *first = row;
                }
            }
            None => lists.push((row, vec![&row.id])),
        }
    }
    let is_one = lists.len() == 1;
    let lines = lists.iter().map(|(row, ids)| {
        let of = if is_one {
            String::new()
        } else {
            format!(" of `{}`", ids.join("`, `"))
        };
        let interval = row.pixel_nn_ci95;
        let interval = interval.map_or(String::new(), |ci95| format!(" ± {ci95:.2}"));
        format!(
            "Test episodes{of}: SHA-256 `{}`. Pixel nearest neighbour on them: **{:.2}{interval}** (n = {}).\n",
            row.episodes_sha256, row.pixel_nn, row.episodes
        )
    });
    let mut lines = lines.collect::<Vec<_>>().join("\n");
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines
}

fn lines(rows: &[Row], results: &Results) -> String {
    let mut lines = String::new();
    for row in rows {
        let (id, title) = (&row.id, &row.title);
        let paper = row
            .paper
            .map_or(String::new(), |paper| format!("{paper:.1}"));
        let Some(found) = results.get(id) else {
            let cause = row.cause.as_ref();
            let cause = cause.map_or(String::new(), |cause| format!(": {cause}"));
            let _ = writeln!(
                lines,
                "| `{id}` | {title} | | not run{cause} | | {paper} | | | | |"
            );
            continue;
        };
        let behind = match (found.behind, found.behind_ci95) {
            (Some(behind), Some(ci95)) => format!("{behind:+.2} ± {ci95:.2}"),
            _ => String::new(),
        };
        let other = found.other_statistics.map_or(String::new(), |other| {
            let name = other.norm_statistics.name();
            let (change, ci95) = (other.change, other.change_ci95);
            format!("{name}: {:.2}, {change:+.2} ± {ci95:.2}", other.accuracy)
        });
        let whole_class = found.whole_class_queries.map_or(String::new(), |found| {
            format!("{:.2} ± {:.2}", found.accuracy, found.ci95)
        });
        let in_all = found.in_all.filter(|_| found.start.is_some());
        let in_all = in_all.map_or(String::new(), |in_all| {
            format!(" ({}, {:.2})", in_all.train_episodes, in_all.hours)
        });
        let _ = writeln!(
            lines,
            "| `{id}` | {title} | {}, {} | **{:.2} ± {:.2}** | {} | {paper} | {whole_class} | {behind} | {other} | {}, {:.2}{in_all} |",
            found.method,
            found.norm_statistics.name(),
            found.accuracy,
            found.ci95,
            found.episodes,
            found.train_episodes,
            found.hours,
        );
    }
    lines
}
