//! What is written: kernels of two episodes, how far weights move, and a map of them.

use anyhow::Result;
use ht_episodes::{EpisodePlan, ImageSet};
use serde_json::{Value, json};

use super::super::draw;
use super::super::draw::map::Panel;
use super::super::groups::GroupedEpisodes;
use super::super::map::{Plane, nearest_of_same_group};
use super::super::page::{Block, Section};
use super::super::spread::Spread;
use super::super::weights::{LayerKernels, joined};
use super::Findings;

/// Adds the kernels of two episodes of different classes.
pub(in super::super) fn add_kernels(
    findings: &mut Findings,
    images: &ImageSet,
    plans: &[EpisodePlan],
    layers: &[LayerKernels],
) -> Result<()> {
    let (other, n_shared) = most_different(plans);
    let shared = match n_shared {
        0 => "which share no class".to_owned(),
        n => format!("which share {n} classes, as few as any"),
    };
    let names = |plan: &EpisodePlan| {
        let names = plan.classes.iter().map(|c| images.class_name(c.class));
        names.take(4).collect::<Vec<_>>().join(", ")
    };
    let mut blocks = vec![Block::text(format!(
        "A is test episode 0 ({}, ..), B is test episode {other} ({}, ..), {shared}. The first \
         three panels of a figure have the same colours, so a pale difference is a layer that \
         hardly depends on the episode; the last shows the difference in colours of its own.",
        names(&plans[0]),
        names(&plans[other]),
    ))];
    for layer in layers {
        let rows = [&layer.rows[0], &layer.rows[other]];
        let of_pair = Spread::of(&[rows[0].clone(), rows[1].clone()]);
        if of_pair.moves() {
            let rows = rows.map(Vec::as_slice);
            let figure = draw::kernels::figure(&layer.name, layer.shape, rows)?;
            blocks.push(Block::Figure(figure));
        } else {
            blocks.push(Block::text(format!(
                "{}: the same in all episodes, so there is no difference to show.",
                layer.name
            )));
        }
    }
    let section = Section::new("Weights of two episodes", blocks);
    findings.add(section, "kernels_of", json!([0, other]));
    Ok(())
}

/// The episode that shares the fewest classes with the first, and how many.
fn most_different(plans: &[EpisodePlan]) -> (usize, usize) {
    let shared = |plan: &EpisodePlan| {
        let classes = plan.classes.iter();
        let is_shared = |class: usize| plans[0].classes.iter().any(|c| c.class == class);
        classes.filter(|c| is_shared(c.class)).count()
    };
    let others = plans.iter().enumerate().skip(1);
    let others = others.map(|(at, plan)| (at, shared(plan)));
    others.min_by_key(|&(_, n)| n).unwrap_or((0, 0))
}

/// Adds the table of how far each layer's weights move between episodes.
pub(in super::super) fn add_spread(findings: &mut Findings, layers: &[LayerKernels]) {
    let n_episodes = layers.first().map_or(0, |layer| layer.rows.len());
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for layer in layers {
        let spread = Spread::of(&layer.rows);
        let n_weights = layer.rows.first().map_or(0, Vec::len);
        rows.push([
            layer.name.clone(),
            n_weights.to_string(),
            format!("{:.3}", spread.size),
            format!("{:.3}", spread.deviation),
            if spread.moves() {
                format!("{:.1} %", spread.percent())
            } else {
                "0: the same in all episodes".to_owned()
            },
        ]);
        values.push(json!({
            "layer": layer.name,
            "weights": n_weights,
            "size": spread.size,
            "deviation": spread.deviation,
            "percent": spread.percent(),
        }));
    }
    let words = format!(
        "The standard deviation of each weight over {n_episodes} test episodes, as a root mean \
         square over the layer's weights, relative to the root mean square of the weights. The \
         paper (appendix F) reports that generated kernels vary by 10 to 15 % from episode to \
         episode. A label means \
         another class in every episode, so some layer has to move far: the logits layer, \
         whose rows then are the classes', or one before it, which brings the features into the \
         order of the labels."
    );
    let head = [
        "layer",
        "weights",
        "root mean square",
        "deviation",
        "relative",
    ];
    let blocks = vec![Block::text(words), Block::table(head, rows)];
    let section = Section::new("How far weights move between episodes", blocks);
    findings.add(section, "spread", values.into());
}

/// Adds the map of `layers`; they are of the grouped episodes where there are groups.
pub(in super::super) fn add_map(
    findings: &mut Findings,
    layers: &[LayerKernels],
    grouped: Option<&GroupedEpisodes>,
) -> Result<()> {
    let mut panels = Vec::new();
    let mut values = Vec::new();
    let mut rows = Vec::new();
    let (_, convolutions) = layers.split_last().expect("a logits layer");
    let all = ("all convolutions".to_owned(), joined(convolutions));
    let each = layers.iter().map(|l| (l.name.clone(), l.rows.clone()));
    for (title, weights) in each.chain([all]) {
        let Some(plane) = Plane::of(&weights)?.filter(|_| Spread::of(&weights).moves()) else {
            continue;
        };
        let neighbours = grouped.map(|grouped| nearest_of_same_group(&weights, &grouped.of));
        let [first, second] = plane.explained.map(|share| 100.0 * share);
        rows.push([
            title.clone(),
            format!("{first:.1} %"),
            format!("{second:.1} %"),
            neighbours.map_or("-".to_owned(), |share| format!("{:.1} %", 100.0 * share)),
        ]);
        values.push(json!({
            "layer": title,
            "explained": plane.explained,
            "nearest_of_same_group": neighbours,
        }));
        panels.push(Panel { title, plane });
    }
    let n_episodes = layers.first().map_or(0, |layer| layer.rows.len());
    let (groups, of) = grouped.map_or((&[][..], &[][..]), |g| (&g.groups[..], &g.of[..]));
    let mut blocks = vec![Block::text(map_words(n_episodes, groups))];
    if panels.is_empty() {
        blocks.push(Block::text(
            "No layer moves between episodes, so there is no map.",
        ));
    } else {
        let head = [
            "layer",
            "first",
            "second",
            "nearest episode of the same group",
        ];
        blocks.push(Block::table(head, rows));
        blocks.push(Block::Figure(draw::map::figure(&panels, groups, of)?));
    }
    let section = Section::new("A map of generated weights", blocks);
    let value = json!({ "groups": groups, "layers": Value::Array(values) });
    findings.add(section, "map", value);
    Ok(())
}

fn map_words(n_episodes: usize, groups: &[String]) -> String {
    let axes = "The axes are the two directions in which the weights vary most (principal \
                components), with their shares of the variance.";
    if groups.is_empty() {
        return format!(
            "Each point is one of {n_episodes} test episodes. {axes} The points have one colour: \
             the names of the classes have no groups (what stands before a slash, such as \
             alphabets) of which at least two have the classes of an episode."
        );
    }
    let chance = 100.0 / groups.len() as f64;
    format!(
        "Each point is one of {n_episodes} episodes whose classes all come from one group (for \
         Omniglot an alphabet), which gives the colour. {axes} The last column of the table says \
         how many episodes have one of their own group as the nearest by all weights; chance is \
         about {chance:.1} %. Episodes of a group share some classes, under other labels. The groups \
         are the largest of all splits: the test classes alone are too few in one group."
    )
}

#[cfg(test)]
mod tests {
    use ht_episodes::PlannedClass;

    use super::*;

    fn plan(classes: [usize; 2]) -> EpisodePlan {
        let class = |class| PlannedClass {
            class,
            number: 0,
            label: Some(0),
            quarter_turns: 0,
            mirrored: false,
            augmentation: None,
            support: Vec::new(),
            unlabelled: Vec::new(),
            query: Vec::new(),
        };
        EpisodePlan {
            ways: 2,
            classes: classes.map(class).to_vec(),
            removed: Vec::new(),
            support_changes: Vec::new(),
            query_changes: Vec::new(),
        }
    }

    #[test]
    fn the_other_episode_shares_as_few_classes_as_any() {
        let plans = [
            plan([1, 2]),
            plan([2, 1]),
            plan([3, 1]),
            plan([4, 5]),
            plan([6, 7]),
        ];
        assert_eq!(most_different(&plans), (3, 0));
        assert_eq!(most_different(&plans[..3]), (2, 1));
        assert_eq!(most_different(&plans[..1]), (0, 0));
    }
}
