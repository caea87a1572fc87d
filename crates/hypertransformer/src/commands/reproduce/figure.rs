//! Figures of the rows: accuracy against what the deployed CNN and its training cost.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;

use super::report::{Recorded, Results};

const SIZE: (u32, u32) = (640, 400);

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

/// Draws all figures into a folder.
pub(super) fn write_all(results: &Results, folder: &Path) -> Result<()> {
    if results.rows.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot write {}", folder.display()))?;
    for axis in &AXES {
        let path = folder.join(axis.file);
        draw(results, axis, &path)
            .map_err(|cause| anyhow!("cannot write {}: {cause}", path.display()))?;
    }
    Ok(())
}

fn draw(results: &Results, axis: &Axis, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let xs = || results.rows.iter().map(axis.of);
    let least = xs().fold(f64::MAX, f64::min) * 0.7;
    let most = xs().fold(0.0, f64::max) * 1.6;
    let lowest = results.rows.iter().map(|row| row.accuracy - row.ci95);
    // Room for the names below the points.
    let names = 1.2 * results.rows.len() as f64;
    let lowest = (lowest.fold(100.0, f64::min) - 2.0 - names).max(0.0);
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(44)
        .build_cartesian_2d((least.max(1e-3)..most).log_scale(), lowest..100.0)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(axis.title)
        .y_desc("test accuracy, %, with 95 % intervals")
        .x_labels(6)
        .draw()?;
    for (at, row) in results.rows.iter().enumerate() {
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
    area.present()?;
    Ok(())
}
