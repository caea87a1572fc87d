//! The attention of one layer's transformer: a map for each block and head.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::super::attention::AttentionMap;
use super::super::figure::{Area, Drawn, Figure, Placed, cells, sequential, svg, text};

/// Side of a map in pixels, about.
const SIDE: usize = 400;
/// Room for titles and labels around it.
const MARGIN: (i32, i32) = (64, 46);
/// Between the title and the map.
const TITLE: i32 = 28;

/// Draws the maps of one layer. `labels` are those of the samples, in the maps' order; label
/// `ways` stands for "no label".
pub(in super::super) fn figure(
    layer: &str,
    maps: &[&AttentionMap],
    labels: &[usize],
    ways: usize,
) -> Result<Figure> {
    let n_heads = maps.iter().map(|map| map.head).max().unwrap_or(1);
    let n_tokens = maps.first().map_or(1, |map| map.rows.len());
    let cell = (SIDE / n_tokens).clamp(1, 14);
    let side = (n_tokens * cell) as i32;
    let panel = (side + MARGIN.0 + 12, side + MARGIN.1 + TITLE + 8);
    let n_rows = maps.len().div_ceil(n_heads) as i32;
    let size = (panel.0 * n_heads as i32, panel.1 * n_rows);
    let svg = svg((size.0 as u32, size.1 as u32), |area| {
        let mut placed = Vec::new();
        for (at, map) in (0..).zip(maps) {
            let column = at % n_heads as i32;
            let row = at / n_heads as i32;
            let corner = (panel.0 * column + MARGIN.0, panel.1 * row + TITLE);
            placed.push(one_map(area, map, corner, cell, labels, ways)?);
        }
        Ok(placed)
    })?;
    Ok(Figure {
        name: format!("attention-{}", layer.replace(' ', "-")),
        title: format!("Attention of {layer}, a map per block and head"),
        svg,
        png: None,
    })
}

fn one_map(
    area: &Area<'_>,
    map: &AttentionMap,
    corner: (i32, i32),
    cell: usize,
    labels: &[usize],
    ways: usize,
) -> Drawn<Placed> {
    let n = map.rows.len();
    let side = (n * cell) as i32;
    let largest = map.rows.iter().flatten().copied().fold(0.0f32, f32::max);
    let place = map.place.replace('_', " ").replace('/', ", ");
    let title = format!("{place}, head {}  (darkest: {largest:.2})", map.head);
    let (left, top) = corner;
    area.draw_text(&title, &text(14.0, HPos::Left), (left, top - 14))?;
    let raster = cells(n, n, cell, |row, column| {
        sequential(f64::from(
            map.rows[row][column] / largest.max(f32::MIN_POSITIVE),
        ))
    });
    let edge = |at: usize| (at * cell) as i32;
    let g = map.n_weight_tokens;
    let frame = [(left, top), (left + side, top + side)];
    area.draw(&Rectangle::new(frame, BLACK.stroke_width(1)))?;
    let line = RED.stroke_width(2);
    let across = [(left, top + edge(g)), (left + side, top + edge(g))];
    let down = [(left + edge(g), top), (left + edge(g), top + side)];
    area.draw(&PathElement::new(across.to_vec(), line))?;
    area.draw(&PathElement::new(down.to_vec(), line))?;

    let below = top + side;
    let (small, middle) = (11.0, HPos::Center);
    let half = edge(g) / 2;
    let of_samples = edge(g) + (side - edge(g)) / 2;
    area.draw_text("weights", &text(12.0, middle), (left + half, below + 26))?;
    let samples = "samples, by label";
    area.draw_text(
        samples,
        &text(12.0, middle),
        (left + of_samples, below + 26),
    )?;
    let turned = |at: i32, name: &str| {
        let style = text(12.0, middle).transform(FontTransform::Rotate270);
        area.draw_text(name, &style, (left - 44, top + at))
    };
    turned(half, "weights")?;
    turned(of_samples, samples)?;

    let mut last_shown = i32::MIN / 2;
    for (name, first, end) in runs(labels, ways) {
        let (from, to) = (edge(g + first), edge(g + end));
        let centre = i32::midpoint(from, to);
        if centre - last_shown < 14 {
            continue;
        }
        last_shown = centre;
        area.draw_text(&name, &text(small, middle), (left + centre, below + 10))?;
        area.draw_text(&name, &text(small, HPos::Right), (left - 6, top + centre))?;
    }
    Ok(Placed { at: corner, raster })
}

/// The labels with their first sample and the one behind their last.
fn runs(labels: &[usize], ways: usize) -> Vec<(String, usize, usize)> {
    let mut runs: Vec<(String, usize, usize)> = Vec::new();
    let mut before = None;
    for (at, &label) in labels.iter().enumerate() {
        match runs.last_mut() {
            Some((_, _, end)) if before == Some(label) => *end = at + 1,
            _ => {
                let name = if label < ways {
                    label.to_string()
                } else {
                    "none".to_owned()
                };
                runs.push((name, at, at + 1));
            }
        }
        before = Some(label);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_at_their_samples() {
        let expected = [("0", 0, 2), ("1", 2, 3), ("none", 3, 5)];
        let expected = expected.map(|(name, first, end)| (name.to_owned(), first, end));
        assert_eq!(runs(&[0, 0, 1, 2, 2], 2), expected);
    }
}
