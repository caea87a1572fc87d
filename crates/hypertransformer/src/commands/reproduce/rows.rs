//! The rows as a person writes them: `configs/reproduce/rows.toml`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ht_train::{ExperimentConfig, Override, StartPart};
use serde::Deserialize;

/// One row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// Name in commands and files.
    pub(super) id: String,
    /// What it is, in the table.
    pub(super) title: String,
    /// The experiment.
    pub(super) config: PathBuf,
    /// What is changed in it.
    #[serde(default)]
    pub(super) set: Vec<String>,
    /// Name of its data set's folder, if it is not built in.
    pub(super) data: Option<String>,
    /// Why it has no result, if it has none.
    pub(super) cause: Option<String>,
    /// The paper's figure.
    pub(super) paper: Option<f64>,
    /// The row that it is compared with, episode by episode.
    pub(super) against: Option<String>,
    /// The row whose best checkpoint it starts from, or none for random parameters.
    pub(super) start: Option<String>,
    /// The model that it starts from instead.
    pub(super) start_model: Option<PathBuf>,
    /// What it takes from there, if not all.
    #[serde(default)]
    pub(super) start_part: StartPart,
}

impl Row {
    /// The run or model that it starts from.
    pub(super) fn place_to_start(&self, runs: &Path) -> Option<PathBuf> {
        let run = self.start.as_ref().map(|start| runs.join(start));
        run.or_else(|| self.start_model.clone())
    }

    /// What it starts from, for whoever reads the results.
    pub(super) fn start_name(&self) -> Option<String> {
        let model = self.start_model.as_ref();
        let model = model.map(|model| model.display().to_string());
        self.start.clone().or(model)
    }

    /// The experiment with its changes.
    pub(super) fn experiment(&self) -> Result<ExperimentConfig> {
        let overrides = self
            .set
            .iter()
            .map(|change| change.parse::<Override>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|cause| anyhow::anyhow!("row {}: {cause}", self.id))?;
        let config = ExperimentConfig::load(&self.config, &overrides);
        config.with_context(|| format!("row {}", self.id))
    }
}

/// Rows that are read together, since they are tests of the same kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// Its heading.
    pub(super) title: String,
    /// Its rows, in order.
    #[serde(rename = "row")]
    pub(super) rows: Vec<Row>,
}

/// All tables.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tables {
    #[serde(rename = "table")]
    pub(super) all: Vec<Table>,
}

impl Tables {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let tables: Self =
            toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
        let mut ids = HashSet::new();
        for row in tables.rows() {
            let is_name = row
                .id
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-');
            if row.id.is_empty() || !is_name || !ids.insert(&row.id) {
                bail!(
                    "{}: row id {:?} is no plain name of its own",
                    path.display(),
                    row.id
                );
            }
            if row.start.is_some() && row.start_model.is_some() {
                bail!(
                    "{}: row {} has start and start_model, expected one of them",
                    path.display(),
                    row.id
                );
            }
            if row.start_part != StartPart::All && row.start.is_none() && row.start_model.is_none()
            {
                bail!(
                    "{}: row {} has start_part, expected start or start_model beside it",
                    path.display(),
                    row.id
                );
            }
            // A row starts from one above it, so that rows cannot start from each other.
            if let Some(start) = row.start.as_ref().filter(|start| !ids.contains(start)) {
                bail!(
                    "{}: row {} starts from {start:?}, expected a row above it",
                    path.display(),
                    row.id
                );
            }
        }
        for row in tables.rows() {
            if let Some(against) = &row.against {
                tables
                    .get(against)
                    .with_context(|| format!("row {}", row.id))?;
            }
        }
        Ok(tables)
    }

    /// The rows of all tables, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.all.iter().flat_map(|table| &table.rows)
    }

    /// The row with an id.
    pub(super) fn get(&self, id: &str) -> Result<&Row> {
        self.rows().find(|row| row.id == id).with_context(|| {
            let known: Vec<&str> = self.rows().map(|row| row.id.as_str()).collect();
            format!("no row {id}, expected one of {}", known.join(", "))
        })
    }

    /// The rows with these ids, or all.
    pub(super) fn chosen(&self, ids: &[String]) -> Result<Vec<&Row>> {
        if ids.is_empty() {
            return Ok(self.rows().collect());
        }
        ids.iter().map(|id| self.get(id)).collect()
    }
}
