//! `hypertransformer evaluate`: a trained generator or baseline on fixed episodes.

use anyhow::{Result, bail};
use ht_episodes::Split;
use ht_train::{
    Accuracy, Calibration, CalibrationReport, Compute, Experiment, FixedEpisodes, Learner,
    episode_logits, measure,
};
use serde_json::json;

use super::trained::Trained;
use super::{Outcome, shown};
use crate::args::EvaluateArgs;
use crate::progress::{print, say};

/// Fewer leave an interval too wide to compare methods by.
const FEWEST_EPISODES: usize = 600;

/// Evaluates the best checkpoint of a run.
pub(crate) fn run(args: &EvaluateArgs) -> Result<Outcome> {
    let compute = args.compute.device.compute(args.compute.threads)?;
    let Trained {
        place,
        learner: mut model,
        experiment,
        step,
    } = Trained::load(
        args.run.as_deref(),
        args.model.as_deref(),
        args.data.as_deref(),
        &args.overrides,
        &compute.device,
    )?;
    if let Some(name) = args.norm_statistics {
        model.set_norm_statistics(name.into());
    }
    let config = &experiment.config;
    let fixed = if let Some(list) = &args.episodes_from {
        experiment.listed_episodes(list)?
    } else {
        let episodes = args.episodes.unwrap_or(config.evaluation.test_episodes);
        experiment.fixed_episodes(args.split.into(), episodes)
    };
    let n_episodes = fixed.list.plans().len();
    if n_episodes < 2 {
        bail!("one episode has no interval: expected at least 2");
    }
    if n_episodes < FEWEST_EPISODES {
        say(&format!(
            "note: {n_episodes} episodes; a figure to be compared with others needs {FEWEST_EPISODES}"
        ));
    }
    say(&format!(
        "evaluating step {step} of {} on {n_episodes} {} episodes",
        place.display(),
        fixed.list.split(),
    ));
    let records = measure(&model, config, &fixed, &compute)?;
    if let Some(path) = &args.per_episode {
        records.write(path)?;
    }
    let accuracy = records.accuracy();
    let pixel_nn = Accuracy::of(&fixed.pixel_nearest_neighbour());
    let rate = args.false_accept_rate;
    let calibrated = calibrated(&model, &experiment, &fixed, rate, &compute);
    let measured = &records.measured;
    if args.json {
        let (calibration, report) = calibrated.unzip();
        let object = json!({
            "run": shown(&place),
            "method": measured.method,
            "split": measured.split,
            "accuracy": accuracy.mean,
            "ci95": accuracy.ci95,
            "episodes": accuracy.episodes,
            "episodes_sha256": measured.episodes_sha256,
            "parameters_sha256": measured.parameters_sha256,
            "pixel_nn_accuracy": pixel_nn.mean,
            "pixel_nn_ci95": pixel_nn.ci95,
            "norm_statistics": measured.norm_statistics,
            "calibration": calibration,
            "calibration_report": report,
            "step": step,
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
        if let Some((calibration, report)) = calibrated {
            for line in calibration_lines(&calibration, &report) {
                print(&line);
            }
        }
    }
    Ok(Outcome::Done)
}

/// Fits temperature and thresholds on as many validation episodes, and measures them on these; not
/// on validation episodes themselves.
pub(super) fn calibrated(
    model: &Learner,
    experiment: &Experiment,
    fixed: &FixedEpisodes<'_>,
    false_accept_rate: f64,
    compute: &Compute,
) -> Option<(Calibration, CalibrationReport)> {
    if fixed.list.split() == Split::Validation.name() {
        return None;
    }
    let n_episodes = fixed.list.plans().len() as u64;
    let validation = experiment.fixed_episodes(Split::Validation, n_episodes);
    let logits = |episodes| episode_logits(model, episodes, compute);
    let calibration = Calibration::fit(&logits(&validation), false_accept_rate);
    let report = calibration.measure(&logits(fixed));
    Some((calibration, report))
}

/// What a person reads of a calibration.
pub(super) fn calibration_lines(
    calibration: &Calibration,
    report: &CalibrationReport,
) -> [String; 2] {
    let false_accepts = report.false_accepts.map_or_else(
        || "no other classes to measure them on".to_owned(),
        |share| {
            format!(
                "{:.2} ± {:.2} % of the images of {} classes accepted where {:.1}{}; \
                 {:.2} ± {:.2} % of query images",
                share.mean,
                share.ci95,
                share.classes,
                100.0 * calibration.false_accept_rate,
                calibration.fitted_on.map_or_else(
                    || " were allowed".to_owned(),
                    |fitted_on| {
                        format!(
                            " ± {:.2} (from {} classes) were allowed, {:+.2} ± {:.2} apart",
                            fitted_on.ci95,
                            fitted_on.classes,
                            share.mean - fitted_on.mean,
                            share.ci95_of_difference(&fitted_on)
                        )
                    }
                ),
                report.accepts.mean,
                report.accepts.ci95,
            )
        },
    );
    let temperature = &calibration.temperature;
    let [fewest, most] = temperature.images;
    let by_images = if fewest < most {
        let [at_fewest, at_most] = temperature.images.map(|images| temperature.at(images));
        format!(
            "{at_fewest:.3} with {fewest:.1} to {at_most:.3} with {most:.1} images of each class"
        )
    } else {
        format!("{:.3}", temperature.at(most))
    };
    [
        format!(
            "calibration     temperature {by_images} (from {} validation episodes), expected \
             calibration error {:.2} %, {:.2} % without it",
            calibration.episodes, report.ece_after, report.ece_before
        ),
        format!("other classes   {false_accepts}"),
    ]
}
