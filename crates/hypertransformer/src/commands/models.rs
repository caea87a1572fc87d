//! `hypertransformer models`: the trained generators that come with the repository.
//!
//! ```text
//! models/omniglot-20way-1shot/
//!   parameters.safetensors   every parameter under its name
//!   manifest.json            as in a checkpoint: the experiment, digests
//!   model.json               how good it is on the test of its experiment
//! ```
//!
//! A model is a checkpoint without the optimizer, so whatever reads a checkpoint reads it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::module::Module;
use ht_cnn::NormStatistics;
use ht_episodes::Split;
use ht_files::{bounded, durable};
use ht_train::{Calibration, CalibrationReport, RunDir, load_learner, parameters_digest};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::evaluate::calibrated;
use super::trained::Trained;
use super::{Outcome, best_checkpoint};
use crate::args::ModelsArgs;
use crate::device::DeviceName;
use crate::progress::print;

const FILES: [&str; 2] = ["parameters.safetensors", "manifest.json"];
const CARD: &str = "model.json";
/// Parameters of the largest generator, and their names.
const MOST_BYTES: u64 = 2 << 30;

/// What a model says about itself, besides its manifest.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Card {
    method: String,
    norm_statistics: NormStatistics,
    test_accuracy: f64,
    test_ci95: f64,
    test_episodes: usize,
    train_episodes: u64,
    pub(super) parameters_sha256: String,
    /// Images that it was trained and tested on: others have another split.
    #[serde(default)]
    pub(super) data_sha256: Option<String>,
    /// From validation episodes.
    #[serde(default)]
    pub(super) calibration: Option<Calibration>,
    /// What it is worth on the test episodes.
    #[serde(default)]
    pub(super) calibration_report: Option<CalibrationReport>,
}

impl Card {
    /// Reads the card of a model.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = path.join(CARD);
        let text = bounded::read_text(&file, bounded::SMALL_FILE)?;
        let card: Self = serde_json::from_str(&text)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let accuracy = 0.0..=100.0;
        if !accuracy.contains(&card.test_accuracy) || !accuracy.contains(&card.test_ci95) {
            bail!(
                "{}: test_accuracy and test_ci95, expected 0 to 100",
                file.display()
            );
        }
        let is_fit = |calibration: &Calibration| calibration.temperature.is_fit();
        if !card.calibration.as_ref().is_none_or(is_fit) {
            bail!(
                "{}: calibration.temperature, expected numbers above 0",
                file.display()
            );
        }
        if card.method.chars().any(char::is_control) {
            bail!("{}: method, expected a plain name", file.display());
        }
        Ok(card)
    }

    /// Refuses a card of other parameters than those beside it.
    pub(super) fn check(&self, path: &Path, parameters_sha256: &str) -> Result<()> {
        if self.parameters_sha256 != parameters_sha256 {
            bail!(
                "{}: the card is of parameters with SHA-256 {}, expected {parameters_sha256}",
                path.join(CARD).display(),
                self.parameters_sha256
            );
        }
        Ok(())
    }
}

/// Whether a folder is a model.
pub(super) fn is_model(path: &Path) -> bool {
    path.join(CARD).exists()
}

/// Lists the models of a folder, or adds one.
pub(crate) fn run(args: &ModelsArgs) -> Result<Outcome> {
    if let (Some(run), Some(name)) = (&args.add, &args.name) {
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if name.is_empty() || !is_plain {
            bail!("--name is {name:?}, expected letters, digits and hyphens");
        }
        add(run, &args.folder.join(name), args)?;
    }
    let mut models = Vec::new();
    for path in folders(&args.folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let card = Card::read(&path)?;
        let device = DeviceName::default().compute(Some(1))?.device;
        // Reading it compares the digests of the file.
        let (learner, config, _) = load_learner(&path, &device)?;
        card.check(&path, &parameters_digest(&learner))?;
        let episodes = &config.episodes;
        let bytes = fs::metadata(path.join(FILES[0]))?.len();
        if !args.json {
            print(&format!(
                "{name}: {}, {}, {} parameters, {:.1} MB",
                episodes.size(),
                card.method,
                learner.num_params(),
                bytes as f64 / 1e6,
            ));
            print(&format!(
                "  test accuracy {:.2} ± {:.2} % (95 % interval, n = {}), {} statistics",
                card.test_accuracy,
                card.test_ci95,
                card.test_episodes,
                card.norm_statistics.name()
            ));
            print(&format!(
                "  SHA-256 of the parameters {}",
                card.parameters_sha256
            ));
        }
        models.push(json!({
            "name": name,
            "experiment": config.name,
            "ways": episodes.ways,
            "shots": episodes.shots,
            "parameters": learner.num_params(),
            "bytes": bytes,
            "card": card,
        }));
    }
    if args.json {
        print(&json!({ "models": models }).to_string());
    }
    Ok(Outcome::Done)
}

/// The models' folders, in order of their names.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("no models in {}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = paths.filter(|path| is_model(path)).collect();
    folders.sort();
    Ok(folders)
}

/// Makes a model of a finished run.
fn add(run: &Path, target: &Path, args: &ModelsArgs) -> Result<()> {
    let report = RunDir::report(run)?
        .with_context(|| format!("{} is not finished: it has no result.json", run.display()))?;
    if target.exists() {
        bail!(
            "{} is there already: choose another --name",
            target.display()
        );
    }
    let compute = args.compute.device.compute(args.compute.threads)?;
    let trained = Trained::load(Some(run), None, args.data.as_deref(), &[], &compute.device)?;
    if trained.step != report.best_step {
        bail!(
            "{} was tested with its checkpoint of step {}, which is damaged or gone",
            run.display(),
            report.best_step
        );
    }
    let checkpoint = best_checkpoint(run)?;
    // What an earlier try has left.
    durable::settle(target)?;
    let partial = durable::partial(target);
    durable::create_folder(&partial)?;
    for file in FILES {
        let bytes = bounded::read(&checkpoint.join(file), MOST_BYTES)?;
        durable::write_file(&partial.join(file), &bytes)?;
    }
    let experiment = &trained.experiment;
    let n_episodes = experiment.config.evaluation.test_episodes;
    let test = experiment.fixed_episodes(Split::Test, n_episodes);
    let rate = args.false_accept_rate;
    let (calibration, calibration_report) =
        calibrated(&trained.learner, experiment, &test, rate, &compute).unzip();
    let card = Card {
        method: report.method,
        norm_statistics: report.norm_statistics,
        test_accuracy: report.test.mean,
        test_ci95: report.test.ci95,
        test_episodes: report.test.episodes,
        train_episodes: report.train_episodes,
        parameters_sha256: report.parameters_sha256,
        data_sha256: Some(experiment.data_digest()),
        calibration,
        calibration_report,
    };
    let text = format!("{}\n", serde_json::to_string_pretty(&card)?);
    durable::write_file(&partial.join(CARD), text.as_bytes())?;
    Ok(durable::commit_folder(&partial, target)?)
}
