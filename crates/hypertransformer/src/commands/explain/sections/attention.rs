//! Where the weight tokens look.

use anyhow::Result;
use burn::tensor::Device;
use ht_episodes::{EpisodeBatch, EpisodePlan, ImageSet, PlannedImage, collate};
use ht_generator::{Pass, SampleTokens, Trace};
use ht_train::Learner;
use serde_json::{Value, json};

use super::super::attention::{
    AttentionMap, Focus, GeneratedLayer, Stairway, by_label, generated_layers, maps,
};
use super::super::draw;
use super::super::page::{Block, Section};
use super::Findings;

const TITLE: &str = "Attention";

const WORDS: &str = "Each map is one head of one block of the transformer that writes a layer. A \
    row is a token that looks, a column one that is looked at; dark is much, and each map has its \
    own scale. Weight tokens come first (left and above of the red lines), then the samples by \
    label, or one token for each class: the upper right part is what the weights are made from. A weight token of a \
    convolution is a slice of the kernel; weight token n of the logits layer writes the weights of \
    class n.";

const STAIRWAY: &str = "The paper (appendix E) finds a stairway in the logits layer: the token of \
    a class attends to the samples of all classes but its own. Here \"own class\" is the share of \
    a token's attention to samples that its own class gets, over the even share: 1 where all \
    classes get the same, 0 in the paper's stairway, the number of classes where a token looks at \
    its own class alone. \"Most\" is the same of whichever label gets the most.";

/// Adds the maps of the first of `plans`, and what the maps of all of them have in common.
pub(in super::super) fn add(
    findings: &mut Findings,
    learner: &Learner,
    images: &ImageSet,
    plans: &[EpisodePlan],
    device: &Device,
) -> Result<()> {
    let Learner::Generator(generator) = learner else {
        let none = "This method has no transformer, so there is no attention to show.";
        let section = Section::new(TITLE, vec![Block::text(none)]);
        findings.add(section, "attention", Value::Null);
        return Ok(());
    };
    let layers = generated_layers(generator);
    let mut shown: Option<(Vec<AttentionMap>, Vec<usize>)> = None;
    let mut found: Vec<Vec<Focus>> = Vec::new();
    for plan in plans {
        let (order, labels) = match generator.sample_tokens() {
            SampleTokens::Each => {
                let label = |sample: PlannedImage| sample.label.unwrap_or(plan.ways);
                by_label(&plan.support().map(label).collect::<Vec<_>>())
            }
            // Token n is that of class n; a label that no class has is hidden.
            SampleTokens::ClassMeans => {
                let labels = (0..plan.ways).filter(|&label| plan.has_label(label));
                let labels: Vec<usize> = labels.collect();
                (labels.clone(), labels)
            }
        };
        let maps = maps(&trace(learner, images, plan, device), &layers, &order);
        found.resize(maps.len(), Vec::new());
        for (found, map) in found.iter_mut().zip(&maps) {
            found.push(Focus::of(map, &labels, layers[map.layer].is_logits));
        }
        shown.get_or_insert((maps, labels));
    }
    let Some((maps, labels)) = shown else {
        return Ok(());
    };
    let found: Vec<Focus> = found.iter().map(|found| Focus::mean(found)).collect();
    let mut blocks = vec![
        Block::text(WORDS),
        Block::text(STAIRWAY),
        Block::text(verdict(&maps, &found)),
        table(&layers, &maps, &found, plans.len()),
        Block::text(names(images, &plans[0])),
    ];
    for (at, layer) in layers.iter().enumerate() {
        let of_layer: Vec<&AttentionMap> = maps.iter().filter(|map| map.layer == at).collect();
        let ways = plans[0].ways;
        let figure = draw::attention::figure(&layer.name, &of_layer, &labels, ways)?;
        blocks.push(Block::Figure(figure));
    }
    let values = maps.iter().zip(&found).map(|(map, focus)| {
        json!({
            "layer": layers[map.layer].name,
            "place": map.place,
            "head": map.head,
            "to_samples": focus.to_samples,
            "most": focus.most,
            "own_class": focus.own,
        })
    });
    let values: Vec<Value> = values.collect();
    findings.add(Section::new(TITLE, blocks), "attention", values.into());
    Ok(())
}

/// The intermediate results of the generator for one episode.
fn trace(learner: &Learner, images: &ImageSet, plan: &EpisodePlan, device: &Device) -> Trace {
    let batch = collate(images, std::slice::from_ref(plan)).to_device(device);
    let EpisodeBatch { support, .. } = batch;
    let mut pass = Pass::evaluation().traced();
    if let Learner::Generator(generator) = learner {
        generator.generate_in(&support, &mut pass);
    }
    pass.into_trace()
}

/// Whether the stairway is there, in words.
fn verdict(maps: &[AttentionMap], found: &[Focus]) -> String {
    let of_logits: Vec<(&AttentionMap, &Focus)> = maps
        .iter()
        .zip(found)
        .filter(|(_, focus)| focus.own.is_some())
        .collect();
    let heads = |kind: Stairway| {
        let of_kind = of_logits
            .iter()
            .filter(|(_, focus)| focus.stairway() == Some(kind));
        let heads: Vec<String> = of_kind
            .map(|(map, focus)| {
                let own = focus.own.unwrap_or_default();
                format!("{}: {own:.2} times the even share", place(map))
            })
            .collect();
        heads.join("; ")
    };
    let to_own = heads(Stairway::OwnClass);
    let to_others = heads(Stairway::OtherClasses);
    match (to_own.is_empty(), to_others.is_empty()) {
        (true, true) => "No head of the logits layer has a stairway: a token's own class gets \
                         between half and twice its even share."
            .to_owned(),
        (false, true) => format!(
            "There is a stairway, the other way round than in the paper: the token of a class \
             attends to its own class ({to_own})."
        ),
        (true, false) => format!(
            "The paper's stairway is there: the token of a class attends to all classes but its \
             own ({to_others})."
        ),
        (false, false) => format!(
            "Both kinds of stairway are there. To the own class: {to_own}. To all others, as in \
             the paper: {to_others}."
        ),
    }
}

fn place(map: &AttentionMap) -> String {
    let place = map.place.replace('_', " ").replace('/', ", ");
    format!("{place}, head {}", map.head)
}

fn table(
    layers: &[GeneratedLayer],
    maps: &[AttentionMap],
    found: &[Focus],
    n_episodes: usize,
) -> Block {
    let rows = maps.iter().zip(found).map(|(map, focus)| {
        [
            layers[map.layer].name.clone(),
            place(map),
            format!("{:.0} %", 100.0 * focus.to_samples),
            format!("{:.2}", focus.most),
            focus.own.map_or(String::new(), |own| format!("{own:.2}")),
        ]
    });
    let n = format!("to samples (mean of {n_episodes} episodes)");
    Block::table(
        [
            "layer",
            "where",
            n.as_str(),
            "most, x even",
            "own class, x even",
        ],
        rows.collect(),
    )
}

/// Which class has which label.
fn names(images: &ImageSet, plan: &EpisodePlan) -> String {
    let labelled = plan.classes.iter().filter_map(|class| {
        let label = class.label?;
        Some(format!("{label} {}", images.class_name(class.class)))
    });
    let names: Vec<String> = labelled.collect();
    format!(
        "The maps show test episode 0. Its labels: {}.",
        names.join(", ")
    )
}
