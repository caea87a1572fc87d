//! What the CNNs say of the query images: confusions and calibration.

use std::collections::BTreeSet;

use anyhow::Result;
use ht_episodes::{EpisodePlan, ImageSet};
use ht_train::{Prediction, Reliability};
use serde_json::{Value, json};

use super::super::confusion::{GroupMatrix, Pair, Told, pairs};
use super::super::draw;
use super::super::groups::group_of;
use super::super::page::{Block, Section};
use super::Findings;

/// Pairs in the table.
const PAIRS: usize = 20;
/// Pairs that are drawn.
const DRAWN: usize = 10;
/// More groups make no readable matrix.
const MOST_GROUPS: usize = 80;

/// The real class of each label of an episode.
fn classes(plan: &EpisodePlan) -> Vec<Option<usize>> {
    let mut classes = vec![None; plan.ways];
    for class in &plan.classes {
        if let Some(label) = class.label {
            classes[label] = Some(class.class);
        }
    }
    classes
}

/// Adds which classes are confused.
pub(in super::super) fn add_confusion(
    findings: &mut Findings,
    images: &ImageSet,
    plans: &[EpisodePlan],
    predictions: &[Vec<Prediction>],
) -> Result<()> {
    let episodes: Vec<Told> = plans
        .iter()
        .zip(predictions)
        .map(|(plan, predictions)| Told {
            classes: classes(plan),
            predictions: predictions.clone(),
        })
        .collect();
    let pairs = pairs(&episodes);
    let n_images: usize = predictions.iter().map(Vec::len).sum();
    let n_wrong: usize = pairs.iter().map(|pair| pair.confused).sum();
    let mut blocks = vec![Block::text(format!(
        "A label means another class in every episode, so a matrix over labels would say nothing. \
         This counts real classes: {n_wrong} of {n_images} query images of {} test episodes were \
         taken for another class. Two given classes meet in few episodes; the column \"met\" says \
         in how many, and the pairs with most confused images come first.",
        plans.len(),
    ))];
    let top = &pairs[..pairs.len().min(PAIRS)];
    let name = |class: usize| images.class_name(class);
    let rows = top.iter().map(|pair| {
        let [a, b] = pair.classes.map(|class| name(class).to_owned());
        let share = 100.0 * pair.confused as f64 / pair.images.max(1) as f64;
        let images = format!("{} of {} ({share:.0} %)", pair.confused, pair.images);
        [a, b, pair.met.to_string(), images]
    });
    let head = ["class", "taken for or by", "met", "images confused"];
    blocks.push(Block::table(head, rows.collect()));
    if !top.is_empty() {
        let drawn = &top[..top.len().min(DRAWN)];
        blocks.push(Block::Figure(draw::confusion::pairs_figure(images, drawn)?));
    }
    let (of_groups, groups) = group_blocks(images, &episodes)?;
    blocks.extend(of_groups);
    let to_json = |pair: &Pair| {
        json!({
            "classes": pair.classes.map(name),
            "met": pair.met,
            "confused": pair.confused,
            "images": pair.images,
        })
    };
    let value = json!({
        "pairs": top.iter().map(to_json).collect::<Vec<_>>(),
        "groups": groups,
    });
    findings.add(Section::new("Confusion", blocks), "confusion", value);
    Ok(())
}

/// The matrix of groups, if the classes of the episodes have groups.
fn group_blocks(images: &ImageSet, episodes: &[Told]) -> Result<(Vec<Block>, Value)> {
    let of = |class: usize| group_of(images.class_name(class));
    let classes = episodes.iter().flat_map(|told| told.classes.iter());
    let names: BTreeSet<&str> = classes.flatten().filter_map(|&class| of(class)).collect();
    let names: Vec<&str> = names.into_iter().collect();
    if names.len() < 2 {
        let none = "The names of the classes have no groups (what stands before a slash), so there \
                    is no matrix between groups.";
        return Ok((vec![Block::text(none)], Value::Null));
    }
    let place = |class: usize| names.binary_search(&of(class)?).ok();
    let matrix = GroupMatrix::of(episodes, names.len(), place);
    let GroupMatrix {
        within, between, ..
    } = matrix;
    let mut words = format!(
        "Groups are what stands before the slash of a class's name (for Omniglot the alphabet). An \
         image is taken for a given other class of its own group in {:.2} % of the cases, for one \
         of another group in {:.2} %.",
        100.0 * within,
        100.0 * between
    );
    let mut blocks = Vec::new();
    if names.len() > MOST_GROUPS {
        words.push_str(" There are too many groups for a matrix.");
        blocks.push(Block::text(words));
    } else {
        words.push_str(
            " In the matrix rows are the image's group and columns that of the wrong class; dark \
             is often, beige are groups that never met.",
        );
        blocks.push(Block::text(words));
        blocks.push(Block::Figure(draw::confusion::matrix_figure(
            &names, &matrix,
        )?));
    }
    let value = json!({ "number": names.len(), "within": within, "between": between });
    Ok((blocks, value))
}

/// Adds how far the confidence can be believed.
pub(in super::super) fn add_reliability(
    findings: &mut Findings,
    predictions: &[Vec<Prediction>],
) -> Result<()> {
    let told = predictions.iter().flatten();
    let told = told.map(|one| (one.confidence, one.is_correct()));
    let reliability = Reliability::of(told, Reliability::BINS);
    let [ece, accuracy, confidence] = [
        reliability.ece(),
        reliability.accuracy(),
        reliability.confidence(),
    ];
    let trust = if confidence > accuracy {
        "it is too sure of itself"
    } else {
        "it is less sure than it could be"
    };
    let words = format!(
        "Confidence is the probability of the predicted label. Over {} query images of {} test \
         episodes its mean is {:.2} % where {:.2} % are right, so {trust}. Expected calibration \
         error (ECE), {} bins: {:.2} %. Bars are the share that is right in a bin, the red point \
         stands at the bin's mean confidence, and on the diagonal the two are equal.",
        reliability.count(),
        predictions.len(),
        100.0 * confidence,
        100.0 * accuracy,
        reliability.bins.len(),
        100.0 * ece,
    );
    let figure = draw::reliability::figure(&reliability)?;
    let blocks = vec![Block::text(words), Block::Figure(figure)];
    let value = json!({
        "ece": 100.0 * ece,
        "accuracy": 100.0 * accuracy,
        "confidence": 100.0 * confidence,
        "images": reliability.count(),
        "bins": reliability.bins,
    });
    findings.add(Section::new("Reliability", blocks), "reliability", value);
    Ok(())
}
