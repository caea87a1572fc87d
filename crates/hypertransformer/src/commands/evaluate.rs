//! `hypertransformer evaluate`: a trained generator or baseline on fixed episodes.

use anyhow::{Result, bail};
use ht_train::{Accuracy, Experiment, RunDir, TrainingObjective, load_learner, measure};
use serde_json::json;

use super::{Outcome, best_checkpoint};
use crate::args::EvaluateArgs;
use crate::progress::{print, say};

/// Evaluates the best checkpoint of a run.
pub(crate) fn run(args: &EvaluateArgs) -> Result<Outcome> {
    let compute = args.compute.device.compute(args.compute.threads)?;
    let (place, checkpoint) = match (&args.run, &args.model) {
        (Some(run), _) => (run, best_checkpoint(run)?),
        (None, Some(model)) => (model, model.clone()),
        (None, None) => bail!("expected --run or --model"),
    };
    let (mut model, config, info) = load_learner(&checkpoint, &compute.device)?;
    if let Some(name) = args.norm_statistics {
        model.set_norm_statistics(name.into());
    }
    let data = match (&args.data, &args.run) {
        (Some(data), _) => Some(data.clone()),
        (None, Some(run)) => RunDir::info(run)?.data,
        (None, None) => None,
    };
    if config.training.objective == TrainingObjective::ClassHead {
        bail!(
            "{} holds an image encoder alone, and no CNN to evaluate",
            place.display()
        );
    }
    let experiment = Experiment::resolve(config, data.as_deref())?;
    let config = &experiment.config;
    let fixed = if let Some(list) = &args.episodes_from {
        experiment.listed_episodes(list)?
    } else {
        let episodes = args.episodes.unwrap_or(config.evaluation.test_episodes);
        experiment.fixed_episodes(args.split.into(), episodes)
    };
    say(&format!(
        "evaluating step {} of {} on {} {} episodes",
        info.step,
        place.display(),
        fixed.list.plans().len(),
        fixed.list.split(),
    ));
    let records = measure(&model, config, &fixed, &compute)?;
    if let Some(path) = &args.per_episode {
        records.write(path)?;
    }
    let accuracy = records.accuracy();
    let pixel_nn = Accuracy::of(&fixed.pixel_nearest_neighbour());
    let measured = &records.measured;
    if args.json {
        let object = json!({
            "run": place,
            "method": measured.method,
            "split": measured.split,
            "accuracy": accuracy.mean,
            "ci95": accuracy.ci95,
            "episodes": accuracy.episodes,
            "episodes_sha256": measured.episodes_sha256,
            "parameters_sha256": measured.parameters_sha256,
            "pixel_nn_accuracy": pixel_nn.mean,
            "norm_statistics": measured.norm_statistics,
            "step": info.step,
            "device": args.compute.device.to_string(),
        });
        print(&object.to_string());
    } else {
        print(&format!(
            "{} accuracy   {accuracy}, {}, {} statistics",
            measured.split,
            measured.method,
            measured.norm_statistics.name()
        ));
        print(&format!("pixel nearest   {pixel_nn}"));
    }
    Ok(Outcome::Done)
}
