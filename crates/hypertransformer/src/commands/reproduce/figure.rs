//! Figures of the rows: accuracy against what the deployed CNN and its training cost.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::{Recorded, Results};
use super::rows::Tables;

/// Size of a panel, and panels side by side.
const PANEL: (u32, u32) = (560, 380);
const COLUMNS: usize = 2;

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

/// Draws all figures into a folder: one for each axis, with a panel for each table.
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

fn draw(panels: &[Panel<'_>], axis: &Axis, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let n_rows = panels.len().div_ceil(COLUMNS);
    let size = (PANEL.0 * COLUMNS as u32, PANEL.1 * n_rows as u32);
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, area) in panels.iter().zip(area.split_evenly((n_rows, COLUMNS))) {
        draw_panel(panel, axis, &area)?;
    }
    area.present()?;
    Ok(())
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
    // Room for the names below the points: a line each.
    let names = (highest - lowest).max(2.0) * (0.2 + 0.09 * rows.len() as f64);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(panel.title, ("sans-serif", 14))
        .x_label_area_size(36)
        .y_label_area_size(44)
        .build_cartesian_2d(
            (least.max(1e-3)..most).log_scale(),
            (lowest - names).max(0.0)..(highest + 1.0).min(100.0),
        )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(axis.title)
        .y_desc("test accuracy, %, with 95 % intervals")
        .x_labels(6)
        .draw()?;
    for (at, row) in rows.iter().enumerate() {
        let colour = Palette99::pick(at).to_rgba();
        let (x, y) = ((axis.of)(row), row.accuracy);
        let (low, high) = (y - row.ci95, y + row.ci95);
        let bar = ErrorBar::new_vertical(x, low, y, high, colour.filled(), 8);
        chart
            .draw_series([bar])?
            .label(&row.id)
            .legend(move |at| Circle::new(at, 4, colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .label_font(("sans-serif", 11))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}
