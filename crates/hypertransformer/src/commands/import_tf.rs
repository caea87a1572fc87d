//! `hypertransformer import-tf`: a checkpoint of the released code becomes a run.

use std::path::Path;

use anyhow::Result;
use ht_parity::import_checkpoint;
use ht_train::{ExperimentConfig, RunDir, RunInfo};
use serde_json::json;

use super::train::run_info;
use super::{Outcome, absolute, next_free, shown};
use crate::args::ImportArgs;
use crate::device::DeviceName;
use crate::progress::print;

/// Imports a checkpoint; a run directory is left behind only if everything fitted.
pub(crate) fn run(args: &ImportArgs) -> Result<Outcome> {
    let config = ExperimentConfig::load(&args.config, &args.overrides)?;
    let path = match &args.run {
        Some(path) => path.clone(),
        None => next_free(Path::new("runs"), &config.name)?,
    };
    RunDir::check_free(&path)?;
    let device = DeviceName::default();
    let compute = device.compute(Some(1))?;
    let imported = import_checkpoint(&args.checkpoint, &config, &compute.device)?;
    let data = args.data.as_deref().map(absolute).transpose()?;
    let info = RunInfo {
        // It was trained elsewhere.
        machine: None,
        start: Some(absolute(&args.checkpoint)?),
        ..run_info(data, device)
    };
    let run = RunDir::create(&path, &info)?;
    let n_parameters = imported.n_parameters();
    let step = imported.step;
    let saved = imported.save(&run, &config);
    saved.inspect_err(|_| run.remove())?;
    run.begin(&config)?;
    if args.json {
        let object = json!({
            "run": shown(&path),
            "step": step,
            "generator_parameters": n_parameters,
        });
        print(&object.to_string());
    } else {
        print(&format!(
            "{n_parameters} parameters of step {step} lie in {0}; measure them with:\n  \
             cargo xtask evaluate --run {0}",
            path.display()
        ));
    }
    Ok(Outcome::Done)
}
