//! Figures of the rows: accuracy against what the deployed CNN and its training cost.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::{Recorded, Results};
use super::rows::Tables;

/// Width of the plot and of the names beside it, in pixels.
const PLOT: u32 = 620;
const NAMES: u32 = 440;
/// Height of a plot at least, of a name, and of what stands above the names.
const LEAST_HEIGHT: u32 = 320;
const NAME: u32 = 20;
const ABOVE: u32 = 44;

/// What a figure has on its horizontal axis.
struct Axis {
    file: &'static str,
    title: &'static str,
    of: fn(&Recorded) -> f64,
}

const AXES: [Axis; 4] = [
    Axis {
        file: "accuracy-channels.svg",
        title: "channels of the CNN",
        of: |row| row.channels as f64,
    },
    Axis {
        file: "accuracy-weights.svg",
        title: "weights of the CNN",
        of: |row| row.cnn_weights as f64,
    },
    Axis {
        file: "accuracy-multiply-adds.svg",
        title: "multiply-adds of the CNN for one image",
        of: |row| row.cnn_multiply_adds as f64,
    },
    Axis {
        file: "accuracy-hours.svg",
        title: "hours of training",
        of: |row| row.hours,
    },
];

/// Draws all figures into a folder: one for each axis, with a panel for each table whose rows differ
/// along it.
pub(super) fn write_all(tables: &Tables, results: &Results, folder: &Path) -> Result<()> {
    let panels: Vec<Panel<'_>> = (tables.all.iter())
        .map(|table| Panel {
            title: &table.title,
            rows: (table.rows.iter())
                .filter_map(|row| results.get(&row.id))
                .collect(),
        })
        .filter(|panel| panel.rows.len() > 1)
        .collect();
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
    rows: Vec<&'a Recorded>,
}

impl Panel<'_> {
    /// Whether there is anything to compare along an axis.
    fn spreads(&self, axis: &Axis) -> bool {
        let first = self.rows.first().map(|row| (axis.of)(row));
        self.rows.iter().any(|row| Some((axis.of)(row)) != first)
    }

    fn height(&self) -> u32 {
        LEAST_HEIGHT.max(ABOVE + NAME * (self.rows.len() as u32 + 1))
    }
}

fn draw(panels: &[Panel<'_>], axis: &Axis, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let panels: Vec<&Panel<'_>> = panels.iter().filter(|panel| panel.spreads(axis)).collect();
    if panels.is_empty() {
        return Ok(());
    }
    let height = panels.iter().map(|panel| panel.height()).sum::<u32>();
    let area = SVGBackend::new(path, (PLOT + NAMES, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut rest = area.clone();
    for panel in panels {
        let (top, below) = rest.split_vertically(panel.height());
        let (plot, names) = top.split_horizontally(PLOT);
        draw_panel(panel, axis, &plot)?;
        draw_names(panel, &names)?;
        rest = below;
    }
    area.present()?;
    Ok(())
}

fn colour(at: usize) -> RGBAColor {
    Palette99::pick(at).to_rgba()
}

/// The rows' names and accuracies, in the colours of their points.
fn draw_names(
    panel: &Panel<'_>,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    for (at, row) in panel.rows.iter().enumerate() {
        let y = (ABOVE + NAME * at as u32) as i32;
        area.draw(&Circle::new((8, y + 7), 4, colour(at).filled()))?;
        let text = format!("{}  {:.2} ± {:.2}", row.id, row.accuracy, row.ci95);
        area.draw(&Text::new(text, (20, y), ("sans-serif", 14)))?;
    }
    Ok(())
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
    let rows = &panel.rows;
    let xs = || rows.iter().map(|row| (axis.of)(row));
    let least = xs().fold(f64::MAX, f64::min) * 0.7;
    let most = xs().fold(0.0, f64::max) * 1.6;
    let lowest = rows.iter().map(|row| row.accuracy - row.ci95);
    let highest = rows.iter().map(|row| row.accuracy + row.ci95);
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
    for (at, row) in rows.iter().enumerate() {
        let (x, y) = ((axis.of)(row), row.accuracy);
        let (low, high) = (y - row.ci95, y + row.ci95);
        let bar = ErrorBar::new_vertical(x, low, y, high, colour(at).filled(), 8);
        chart.draw_series([bar])?;
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
}
