//! `hypertransformer explain`: what a trained generator or baseline has learned, as one page.
//!
//! ```text
//! attention, weights, spread, map, groups, confusion   calculations: numbers in, numbers out
//! draw/        figures of those numbers                 figure.rs   SVG with embedded rasters
//! sections/    calculation, drawing and words together  page.rs     HTML around them
//! ```

mod attention;
mod confusion;
mod draw;
mod figure;
mod groups;
mod map;
mod page;
mod sections;
mod spread;
mod weights;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ht_episodes::Split;
use ht_files::{bounded, durable};
use ht_train::predict;
use serde_json::json;

use self::figure::Figure;
use self::groups::grouped_episodes;
use self::page::{Block, Section, html, is_ours};
use self::sections::{Findings, added_to_means, own_convolutions};
use super::trained::Trained;
use super::{Outcome, shown};
use crate::args::ExplainArgs;
use crate::progress::{print, say};

/// Episodes over which the attention is averaged.
const ATTENTION_EPISODES: usize = 20;
const PAGE: &str = "index.html";
/// A longer page is none of ours.
const MOST_BYTES: u64 = 1 << 28;

/// Writes the page and its figures.
pub(crate) fn run(args: &ExplainArgs) -> Result<Outcome> {
    let compute = args.compute.device.compute(args.compute.threads)?;
    let run = args.run.as_deref();
    let (model, data) = (args.model.as_deref(), args.data.as_deref());
    let trained = Trained::load(run, model, data, &[], &compute.device)?;
    let out = match (&args.out, run) {
        (Some(out), _) => out.clone(),
        (None, Some(run)) => run.join("explain"),
        (None, None) => bail!("expected --out"),
    };
    // Before the work, so that a wrong folder costs no waiting.
    fs::create_dir_all(&out).with_context(|| format!("cannot write {}", out.display()))?;
    check_free(&out)?;

    let Trained {
        learner,
        experiment,
        ..
    } = &trained;
    let images = experiment.evaluation_sampler.images();
    let device = &compute.device;
    let fixed = experiment.fixed_episodes(Split::Test, args.episodes);
    let plans = fixed.list.plans();
    let mut findings = Findings::default();

    say(&format!(
        "writing the weights of {} episodes",
        args.episodes
    ));
    let few = &plans[..plans.len().min(ATTENTION_EPISODES)];
    sections::attention::add(&mut findings, learner, images, few, device)?;
    let layers = weights::kernels(learner, images, plans, device);
    sections::weights::add_kernels(&mut findings, images, plans, &layers)?;
    sections::weights::add_spread(&mut findings, &layers);

    let n_tests = args.test_episodes;
    let n_tests = n_tests.unwrap_or(experiment.config.evaluation.test_episodes);
    say(&format!(
        "classifying the query images of {n_tests} episodes"
    ));
    let tests = experiment.fixed_episodes(Split::Test, n_tests);
    let predictions = predict(learner, &tests, &compute);
    let tested = tests.list.plans();
    let mean = own_convolutions::mean_generator(learner, experiment, args.episodes, device);
    let by_mean = mean.map(|mean| predict(&mean, &tests, &compute));
    own_convolutions::add(
        &mut findings,
        args.episodes,
        &predictions,
        by_mean.as_deref(),
    );
    let by_means = added_to_means::means_alone(learner);
    let by_means = by_means.map(|means| predict(&means, &tests, &compute));
    added_to_means::add(&mut findings, learner, &predictions, by_means.as_deref());

    let grouped = grouped_episodes(experiment, args.episodes);
    let of_groups = grouped
        .as_ref()
        .map(|grouped| weights::kernels(learner, images, &grouped.plans, device));
    let mapped = of_groups.as_deref().unwrap_or(&layers);
    sections::weights::add_map(&mut findings, mapped, grouped.as_ref())?;
    sections::training::add(&mut findings, run)?;
    sections::predictions::add_confusion(&mut findings, images, tested, &predictions)?;
    sections::predictions::add_reliability(&mut findings, &predictions)?;

    let page = write(&out, &trained, &findings)?;
    tell(args, &trained, &findings, &page)?;
    Ok(Outcome::Done)
}

/// Refuses a folder that holds anything but an earlier page and its figures.
fn check_free(out: &Path) -> Result<()> {
    let entries = fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))?;
    let mut names = entries.flatten().map(|entry| entry.file_name());
    let is_free = names.all(|name| durable::is_leftover(&name.to_string_lossy()));
    let is_ours = || bounded::read(&out.join(PAGE), MOST_BYTES).is_ok_and(|page| is_ours(&page));
    if !is_free && !is_ours() {
        bail!(
            "{} is not empty and its {PAGE} is none of explain: name another folder with --out",
            out.display()
        );
    }
    Ok(())
}

/// The page and a file for each figure; returns the page's path.
fn write(out: &Path, trained: &Trained, findings: &Findings) -> Result<PathBuf> {
    let save = |file: &str, bytes: &[u8]| {
        let path = out.join(file);
        durable::replace_file(&path, bytes)
    };
    let config = &trained.experiment.config;
    let title = format!("What {} has learned", config.name);
    let about = format!(
        "{}, {}, the checkpoint of step {} in {}.",
        config.method()?.name(),
        config.episodes.size(),
        trained.step,
        trained.place.display(),
    );
    let first = Section::new("The run", vec![Block::text(about)]);
    let sections = [std::slice::from_ref(&first), &findings.sections].concat();
    // First, so that a folder with half the figures is known as ours.
    save(PAGE, html(&title, &sections).as_bytes())?;
    for Figure { name, svg, png, .. } in sections.iter().flat_map(Section::figures) {
        save(&format!("{name}.svg"), svg.as_bytes())?;
        if let Some(png) = png {
            save(&format!("{name}.png"), png)?;
        }
    }
    Ok(out.join(PAGE))
}

/// Prints what was found.
fn tell(args: &ExplainArgs, trained: &Trained, findings: &Findings, page: &Path) -> Result<()> {
    let figures = findings.sections.iter().flat_map(Section::figures);
    let figures: Vec<String> = figures
        .map(|figure| format!("{}.svg", figure.name))
        .collect();
    if !args.json {
        print(&format!("{} and {} figures", page.display(), figures.len()));
        return Ok(());
    }
    let mut object = json!({
        "run": shown(&trained.place),
        "method": trained.experiment.config.method()?.name(),
        "step": trained.step,
        "page": shown(page),
        "figures": figures,
        "device": args.compute.device.to_string(),
    });
    if let Some(object) = object.as_object_mut() {
        object.extend(findings.values.clone());
    }
    print(&object.to_string());
    Ok(())
}
