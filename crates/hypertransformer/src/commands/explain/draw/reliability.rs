//! The reliability diagram: accuracy against confidence, and how many images had it.

use anyhow::Result;
use ht_train::Reliability;
use plotters::prelude::*;

use super::super::figure::{Area, Drawn, Figure, svg};

const SIZE: (u32, u32) = (480, 520);
const BAR: RGBColor = RGBColor(107, 174, 214);
const COUNT: RGBColor = RGBColor(150, 150, 150);

/// Draws bars of accuracy with the diagonal above, the share of images in each bin below.
pub(in super::super) fn figure(reliability: &Reliability) -> Result<Figure> {
    let svg = svg(SIZE, |area| {
        let (upper, lower) = area.split_vertically(360);
        bars(&upper, reliability)?;
        counts(&lower, reliability)?;
        Ok(Vec::new())
    })?;
    Ok(Figure {
        name: "reliability".to_owned(),
        title: "Accuracy against confidence, in bins of confidence".to_owned(),
        svg,
        png: None,
    })
}

/// Lower and upper edge of a bin.
fn edges(at: usize, n_bins: usize) -> (f64, f64) {
    let n = n_bins as f64;
    (at as f64 / n, (at + 1) as f64 / n)
}

fn bars(area: &Area<'_>, Reliability { bins }: &Reliability) -> Drawn<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(20)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(6)
        .y_desc("share that is right")
        .draw()?;
    let filled = bins.iter().enumerate().filter(|(_, bin)| bin.count > 0);
    for (at, bin) in filled {
        let (from, to) = edges(at, bins.len());
        let corners = [(from, 0.0), (to, bin.accuracy)];
        chart.draw_series([
            Rectangle::new(corners, BAR.filled()),
            Rectangle::new(corners, BLACK.stroke_width(1)),
        ])?;
        chart.draw_series([Circle::new((bin.confidence, bin.accuracy), 3, RED.filled())])?;
    }
    let diagonal = vec![(0.0, 0.0), (1.0, 1.0)];
    chart.draw_series([PathElement::new(diagonal, BLACK.mix(0.6).stroke_width(1))])?;
    Ok(())
}

fn counts(area: &Area<'_>, reliability: &Reliability) -> Drawn<()> {
    let bins = &reliability.bins;
    let n = reliability.count().max(1) as f64;
    let share = |count: usize| 100.0 * count as f64 / n;
    let most = bins.iter().map(|bin| share(bin.count)).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(38)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..1.0, 0.0..1.05 * most)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(6)
        .y_labels(4)
        .y_label_formatter(&|share| format!("{share:.0}"))
        .x_desc("confidence")
        .y_desc("images, %")
        .draw()?;
    chart.draw_series(bins.iter().enumerate().map(|(at, bin)| {
        let (from, to) = edges(at, bins.len());
        Rectangle::new([(from, 0.0), (to, share(bin.count))], COUNT.filled())
    }))?;
    Ok(())
}
