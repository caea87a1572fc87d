//! `hypertransformer evaluate`: a trained generator on fixed episodes.

use anyhow::Result;
use ht_episodes::Split;
use ht_train::{Accuracy, Experiment, RunDir, evaluate, load_generator};
use serde_json::json;

use super::Outcome;
use crate::args::EvaluateArgs;
use crate::progress::{print, say};

/// Evaluates the best checkpoint of a run.
pub(crate) fn run(args: &EvaluateArgs) -> Result<Outcome> {
    let compute = args.compute.device.compute(args.compute.threads)?;
    let checkpoint = RunDir::best_checkpoint(&args.run)?;
    let (model, config, info) = load_generator(&checkpoint, &compute.device)?;
    let data = match &args.data {
        Some(data) => Some(data.clone()),
        None => RunDir::info(&args.run)?.data,
    };
    let experiment = Experiment::resolve(config, data.as_deref())?;
    let config = &experiment.config;
    let split = Split::from(args.split);
    let episodes = args
        .episodes
        .unwrap_or(config.evaluation.test_episodes)
        .max(1);
    say(&format!(
        "evaluating step {} of {} on {episodes} {} episodes",
        info.step,
        args.run.display(),
        split.name(),
    ));
    let fixed = experiment.fixed_episodes(split, episodes);
    let accuracy = Accuracy::of(&evaluate(&model, &fixed, &compute));
    let pixel_nn = Accuracy::of(&fixed.pixel_nearest_neighbour());
    if args.json {
        let object = json!({
            "run": args.run,
            "split": split.name(),
            "accuracy": accuracy.mean,
            "ci95": accuracy.ci95,
            "episodes": accuracy.episodes,
            "pixel_nn_accuracy": pixel_nn.mean,
            "norm_statistics": config.cnn.norm_statistics,
            "step": info.step,
            "device": args.compute.device.to_string(),
        });
        print(&object.to_string());
    } else {
        print(&format!("{} accuracy   {accuracy}", split.name()));
        print(&format!("pixel nearest   {pixel_nn}"));
    }
    Ok(Outcome::Done)
}
