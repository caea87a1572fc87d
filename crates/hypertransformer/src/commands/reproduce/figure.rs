//! Figures of the rows: accuracy against what the deployed CNN and its training cost.
//!
//! Rows of one method are one series: points for all of them, a line through those that nothing cheaper
//! beats, and the paper's figures for the same CNN as hollow marks.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use ht_generator::{ConvolutionBase, LearnedLayers};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::{Recorded, Results};
use super::rows::{Row, Tables};

/// Width of the plot and of the names beside it, in pixels.
const PLOT: u32 = 620;
const NAMES: u32 = 360;
const HEIGHT: u32 = 340;
/// Height of a name, and of what stands above the names.
const NAME: u32 = 22;
const ABOVE: u32 = 44;

/// What a figure has on its horizontal axis.
struct Axis {
    file: &'static str,
    title: &'static str,
    of: fn(&Recorded) -> f64,
    /// Whether the paper's CNN stands at the same place: it does not say how long it was trained.
    has_paper: bool,
}

const AXES: [Axis; 4] = [
    Axis {
        file: "accuracy-channels.svg",
        title: "channels of the CNN",
        of: |row| row.channels as f64,
        has_paper: true,
    },
    Axis {
        file: "accuracy-weights.svg",
        title: "weights of the CNN",
        of: |row| row.cnn_weights as f64,
        has_paper: true,
    },
    Axis {
        file: "accuracy-multiply-adds.svg",
        title: "multiply-adds of the CNN for one image",
        of: |row| row.cnn_multiply_adds as f64,
        has_paper: true,
    },
    Axis {
        file: "accuracy-hours.svg",
        title: "hours of training, with those of the rows that it started from",
        of: |row| row.in_all.map_or(row.hours, |in_all| in_all.hours),
        has_paper: false,
    },
];

/// Draws all figures into a folder: one for each axis, with a panel for each table whose rows differ
/// along it.
pub(super) fn write_all(tables: &Tables, results: &Results, folder: &Path) -> Result<()> {
    let mut panels = Vec::new();
    for table in &tables.all {
        let panel = Panel::of(&table.title, &table.rows, results)?;
        if panel.points().count() > 1 {
            panels.push(panel);
        }
    }
    if panels.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot write {}", folder.display()))?;
    for axis in &AXES {
        let path = folder.join(axis.file);
        draw(&panels, axis, &path)
            .map_err(|cause| anyhow!("cannot write {}: {cause}", path.display()))?;
    }
    Ok(())
}

/// The measured rows of one table.
struct Panel<'a> {
    title: &'a str,
    series: Vec<Series<'a>>,
}

/// The rows of one method.
struct Series<'a> {
    name: String,
    rows: Vec<&'a Recorded>,
}

impl<'a> Panel<'a> {
    fn of(title: &'a str, rows: &[Row], results: &'a Results) -> Result<Self> {
        let mut series: Vec<Series<'a>> = Vec::new();
        for row in rows {
            let Some(found) = results.get(&row.id) else {
                continue;
            };
            let name = series_name(row, found)?;
            match series.iter_mut().find(|series| series.name == name) {
                Some(series) => series.rows.push(found),
                None => series.push(Series {
                    name,
                    rows: vec![found],
                }),
            }
        }
        Ok(Self { title, series })
    }

    fn points(&self) -> impl Iterator<Item = &'a Recorded> {
        self.series.iter().flat_map(|series| &series.rows).copied()
    }

    /// Whether there is anything to compare along an axis.
    fn spreads(&self, axis: &Axis) -> bool {
        let first = self.points().next().map(|row| (axis.of)(row));
        self.points().any(|row| Some((axis.of)(row)) != first)
    }
}

/// What a row is drawn as: how much of the CNN is generated, or the method that trains it instead.
fn series_name(row: &Row, found: &Recorded) -> Result<String> {
    let config = row.experiment()?;
    let Some(generator) = &config.generator else {
        return Ok(found.method.clone());
    };
    let is_logits_alone = generator.learned_layers == LearnedLayers::First(config.cnn.depth);
    let is_added = generator.convolution_base == ConvolutionBase::Learned && !is_logits_alone;
    if generator.added_weights || is_added {
        return Ok("generated layers added to learned ones".to_owned());
    }
    Ok(match generator.learned_layers {
        LearnedLayers::None => "all layers generated".to_owned(),
        _ if is_logits_alone => "logits layer alone generated".to_owned(),
        _ => "some layers generated".to_owned(),
    })
}

/// The rows of a series that no row with as little along the axis beats, from left to right.
fn unbeaten<'a>(rows: &[&'a Recorded], of: fn(&Recorded) -> f64) -> Vec<&'a Recorded> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| {
        let places = of(a).total_cmp(&of(b));
        places.then(b.accuracy.total_cmp(&a.accuracy))
    });
    let mut best = f64::MIN;
    sorted.retain(|row| {
        let is_better = row.accuracy > best;
        best = best.max(row.accuracy);
        is_better
    });
    sorted
}

fn draw(panels: &[Panel<'_>], axis: &Axis, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let panels: Vec<&Panel<'_>> = panels.iter().filter(|panel| panel.spreads(axis)).collect();
    if panels.is_empty() {
        return Ok(());
    }
    let size = (PLOT + NAMES, HEIGHT * panels.len() as u32);
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE)?;
    let mut rest = area.clone();
    for panel in panels {
        let (top, below) = rest.split_vertically(HEIGHT);
        let (plot, names) = top.split_horizontally(PLOT);
        draw_panel(panel, axis, &plot)?;
        draw_names(panel, axis, &names)?;
        rest = below;
    }
    area.present()?;
    Ok(())
}

fn colour(at: usize) -> RGBAColor {
    Palette99::pick(at).to_rgba()
}

/// The series' names in their colours, each with its best row.
fn draw_names(
    panel: &Panel<'_>,
    axis: &Axis,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    let style = ("sans-serif", 14);
    let mut y = ABOVE as i32;
    for (at, series) in panel.series.iter().enumerate() {
        let accuracies = series.rows.iter().map(|row| row.accuracy);
        let best = accuracies.fold(f64::MIN, f64::max);
        area.draw(&Circle::new((8, y + 7), 4, colour(at).filled()))?;
        let text = format!("{}, at most {best:.2}", series.name);
        area.draw(&Text::new(text, (20, y), style))?;
        y += NAME as i32;
    }
    if axis.has_paper && panel.points().any(|row| row.paper.is_some()) {
        area.draw(&(EmptyElement::at((8, y + 7)) + diamond(BLACK.to_rgba())))?;
        area.draw(&Text::new("the paper's figure", (20, y), style))?;
    }
    Ok(())
}

/// The paper's mark, hollow, in pixels around its place.
fn diamond(colour: RGBAColor) -> PathElement<(i32, i32)> {
    let corners = [(0, -6), (6, 0), (0, 6), (-6, 0), (0, -6)];
    PathElement::new(corners.to_vec(), colour.stroke_width(2))
}

/// Where the axis is labelled: at the values themselves where they are few whole numbers and far enough
/// apart, else at 1, 2 and 5 times the powers of ten between `least` and `most`.
fn ticks(values: impl Iterator<Item = f64>, least: f64, most: f64) -> Vec<f64> {
    let mut distinct: Vec<f64> = values.collect();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let apart = |pair: &[f64]| pair[1] > 1.15 * pair[0];
    let is_whole = |value: &f64| value.fract() == 0.0;
    if distinct.len() <= 6 && distinct.iter().all(is_whole) && distinct.windows(2).all(apart) {
        return distinct;
    }
    (-3..9)
        .flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10f64.powi(power)))
        .filter(|tick| (least..most).contains(tick))
        .collect()
}

fn draw_panel(
    panel: &Panel<'_>,
    axis: &Axis,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    let xs = || panel.points().map(axis.of);
    let least = xs().fold(f64::MAX, f64::min) * 0.7;
    let most = xs().fold(0.0, f64::max) * 1.6;
    let papers = |row: &Recorded| row.paper.filter(|_| axis.has_paper);
    let lowest = panel.points().map(|row| {
        let low = row.accuracy - row.ci95;
        papers(row).map_or(low, |paper| low.min(paper))
    });
    let highest = panel.points().map(|row| {
        let high = row.accuracy + row.ci95;
        papers(row).map_or(high, |paper| high.max(paper))
    });
    let (lowest, highest) = (lowest.fold(100.0, f64::min), highest.fold(0.0, f64::max));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(panel.title, ("sans-serif", 16))
        .x_label_area_size(36)
        .y_label_area_size(44)
        .build_cartesian_2d(
            (least.max(1e-3)..most)
                .log_scale()
                .with_key_points(ticks(xs(), least, most)),
            (lowest - 1.0).max(0.0)..(highest + 1.0).min(100.0),
        )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(axis.title)
        .y_desc("test accuracy, %, with 95 % intervals")
        .x_label_formatter(&ToString::to_string)
        .label_style(("sans-serif", 13))
        .draw()?;
    for (at, series) in panel.series.iter().enumerate() {
        let line = unbeaten(&series.rows, axis.of);
        let line = line.into_iter().map(|row| ((axis.of)(row), row.accuracy));
        chart.draw_series(LineSeries::new(line, colour(at).stroke_width(2)))?;
        for row in &series.rows {
            let (x, y) = ((axis.of)(row), row.accuracy);
            let (low, high) = (y - row.ci95, y + row.ci95);
            let bar = ErrorBar::new_vertical(x, low, y, high, colour(at).filled(), 6);
            chart.draw_series([bar])?;
            if let Some(paper) = papers(row) {
                chart.draw_series([EmptyElement::at((x, paper)) + diamond(colour(at))])?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_labelled_at_its_values_or_at_round_numbers() {
        let few = [8.0, 8.0, 16.0, 4.0];
        assert_eq!(ticks(few.into_iter(), 2.8, 25.6), [4.0, 8.0, 16.0]);
        for hours in [[0.2, 0.21, 1.4], [0.2, 0.7, 1.4]] {
            let ticks = ticks(hours.into_iter(), 0.14, 2.24);
            assert_eq!(ticks, [0.2, 0.5, 1.0, 2.0]);
        }
    }
    #[test]
    fn a_line_goes_through_what_nothing_cheaper_beats() {
        let rows = [(8, 88.0), (4, 70.0), (6, 65.0), (8, 85.0), (16, 93.0)];
        let rows = rows.map(|(channels, accuracy)| recorded(channels, accuracy));
        let line = unbeaten(&rows.iter().collect::<Vec<_>>(), |row| row.channels as f64);
        let line: Vec<_> = line
            .iter()
            .map(|row| (row.channels, row.accuracy))
            .collect();
        assert_eq!(line, [(4, 70.0), (8, 88.0), (16, 93.0)]);
    }

    fn recorded(channels: usize, accuracy: f64) -> Recorded {
        let row = serde_json::json!({
            "id": "row", "method": "hypertransformer", "norm_statistics": "query-batch",
            "accuracy": accuracy, "ci95": 0.3, "episodes": 1000, "pixel_nn": 24.0,
            "channels": channels, "cnn_weights": 100, "cnn_multiply_adds": 1000,
            "config": "config.toml", "set": [], "seed": 1, "train_episodes": 10, "hours": 0.1,
            "device": "flex", "parameters_sha256": "", "episodes_sha256": "",
        });
        serde_json::from_value(row).expect("a row")
    }
}
