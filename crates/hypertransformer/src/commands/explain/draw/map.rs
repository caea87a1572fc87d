//! Episodes as points by their weights, a panel for each layer.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::super::figure::{Area, Drawn, Figure, svg, text};
use super::super::map::Plane;

const PANEL: (u32, u32) = (300, 280);
const COLUMNS: usize = 3;
/// Colours that are told apart, also by most who do not see red and green.
const COLOURS: [RGBColor; 8] = [
    RGBColor(31, 119, 180),
    RGBColor(230, 120, 20),
    RGBColor(44, 140, 60),
    RGBColor(200, 30, 60),
    RGBColor(120, 80, 180),
    RGBColor(110, 70, 50),
    RGBColor(225, 100, 190),
    RGBColor(60, 60, 60),
];

/// What stands in one panel.
pub(in super::super) struct Panel {
    /// The layer, or all of them.
    pub(in super::super) title: String,
    /// Its episodes.
    pub(in super::super) plane: Plane,
}

/// Draws the panels; `groups` are names, `of` the group of each episode. Without groups all
/// points have one colour.
pub(in super::super) fn figure(
    panels: &[Panel],
    groups: &[String],
    of: &[usize],
) -> Result<Figure> {
    let rows = panels.len().div_ceil(COLUMNS).max(1);
    let legend = 26 * groups.len().div_ceil(4) as u32;
    let size = (PANEL.0 * COLUMNS as u32, PANEL.1 * rows as u32 + legend);
    let svg = svg(size, |area| {
        let (grid, below) = area.split_vertically(size.1 - legend);
        let areas = grid.split_evenly((rows, COLUMNS));
        for (panel, area) in panels.iter().zip(&areas) {
            scatter(area, panel, of)?;
        }
        for ((at, name), colour) in (0..).zip(groups).zip(COLOURS.iter().cycle()) {
            let (x, y) = (20 + at % 4 * 220, 12 + at / 4 * 26);
            below.draw(&Circle::new((x, y), 5, colour.filled()))?;
            below.draw_text(name, &text(13.0, HPos::Left), (x + 12, y))?;
        }
        Ok(Vec::new())
    })?;
    Ok(Figure {
        name: "map".to_owned(),
        title: "Weights of many episodes in two dimensions".to_owned(),
        svg,
        png: None,
    })
}

fn scatter(area: &Area<'_>, Panel { title, plane }: &Panel, of: &[usize]) -> Drawn<()> {
    let range = |axis: usize| {
        let values = || plane.points.iter().map(|point| point[axis]);
        let (low, high) = (
            values().fold(f64::MAX, f64::min),
            values().fold(f64::MIN, f64::max),
        );
        let room = 0.06 * (high - low).max(1e-9);
        low - room..high + room
    };
    let [first, second] = plane.explained.map(|share| 100.0 * share);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .caption(title, text(14.0, HPos::Center))
        .x_label_area_size(26)
        .y_label_area_size(26)
        .build_cartesian_2d(range(0), range(1))?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(0)
        .y_labels(0)
        .x_desc(format!("first component, {first:.0} %"))
        .y_desc(format!("second, {second:.0} %"))
        .axis_desc_style(text(12.0, HPos::Center))
        .draw()?;
    let points = plane.points.iter().enumerate().map(|(at, &[x, y])| {
        let group = of.get(at).copied().unwrap_or_default();
        let colour = COLOURS[group % COLOURS.len()];
        Circle::new((x, y), 3, colour.mix(0.75).filled())
    });
    chart.draw_series(points)?;
    Ok(())
}
