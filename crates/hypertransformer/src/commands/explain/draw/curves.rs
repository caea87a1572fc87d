//! Learning curves out of a run's metrics.

use super::super::figure::{Area, Drawn, Figure, svg};
use anyhow::Result;
use ht_train::Metric;
use plotters::prelude::*;

const SIZE: (u32, u32) = (900, 320);
const TRAINING: RGBColor = RGBColor(31, 119, 180);
const VALIDATION: RGBColor = RGBColor(200, 30, 60);

/// The curves of a run, by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Curves {
    /// Training loss.
    pub(in super::super) loss: Vec<(f64, f64)>,
    /// Training accuracy, in percent.
    pub(in super::super) accuracy: Vec<(f64, f64)>,
    /// Step, validation accuracy and half width of its 95 % interval, in percent.
    pub(in super::super) validation: Vec<(f64, f64, f64)>,
}

impl Curves {
    pub(in super::super) fn of(metrics: &[Metric]) -> Self {
        let mut curves = Self::default();
        for metric in metrics {
            match *metric {
                Metric::Train {
                    step,
                    loss,
                    accuracy,
                    ..
                } => {
                    curves.loss.push((step as f64, loss));
                    curves.accuracy.push((step as f64, accuracy));
                }
                Metric::Validation {
                    step,
                    accuracy,
                    ci95,
                    ..
                } => curves.validation.push((step as f64, accuracy, ci95)),
                Metric::SkippedStep { .. } | Metric::Test { .. } => {}
            }
        }
        curves
    }

    /// Whether there is nothing to draw.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.loss.is_empty() && self.validation.is_empty()
    }

    fn last_step(&self) -> f64 {
        let steps = self.loss.iter().map(|point| point.0);
        let validated = self.validation.iter().map(|point| point.0);
        steps.chain(validated).fold(1.0, f64::max)
    }
}

/// Draws loss on the left, accuracies on the right.
pub(in super::super) fn figure(curves: &Curves) -> Result<Figure> {
    let svg = svg(SIZE, |area| {
        let (left, right) = area.split_horizontally(SIZE.0 / 2);
        loss(&left, curves)?;
        accuracy(&right, curves)?;
        Ok(Vec::new())
    })?;
    Ok(Figure {
        name: "curves".to_owned(),
        title: "Training loss, training accuracy and validation accuracy by step".to_owned(),
        svg,
        png: None,
    })
}

fn loss(area: &Area<'_>, curves: &Curves) -> Drawn<()> {
    let most = curves.loss.iter().map(|point| point.1).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(26)
        .x_label_area_size(38)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..curves.last_step(), 0.0..(1.05 * most).max(1e-9))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(5)
        .x_label_formatter(&|step| format!("{step:.0}"))
        .x_desc("step")
        .y_desc("training loss")
        .draw()?;
    chart.draw_series(LineSeries::new(
        curves.loss.iter().copied(),
        TRAINING.stroke_width(1),
    ))?;
    Ok(())
}

fn accuracy(area: &Area<'_>, curves: &Curves) -> Drawn<()> {
    // Far below the validation lies only the first moment of training.
    let validated = curves.validation.iter().map(|&(_, mean, half)| mean - half);
    let lowest = (validated.fold(f64::MAX, f64::min) - 15.0).clamp(0.0, 80.0);
    let lowest = if curves.validation.is_empty() {
        0.0
    } else {
        lowest
    };
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(26)
        .x_label_area_size(38)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..curves.last_step(), lowest..100.0)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(5)
        .x_label_formatter(&|step| format!("{step:.0}"))
        .x_desc("step")
        .y_desc("accuracy, %")
        .draw()?;
    let shown = curves.accuracy.iter().filter(|point| point.1 >= lowest);
    let line = LineSeries::new(shown.copied(), TRAINING.stroke_width(1));
    let swatch = |colour: RGBColor| {
        move |(x, y): (i32, i32)| Rectangle::new([(x, y - 4), (x + 14, y + 4)], colour.filled())
    };
    chart
        .draw_series(line)?
        .label("training")
        .legend(swatch(TRAINING));
    let bars = curves.validation.iter().map(|&(step, mean, half)| {
        ErrorBar::new_vertical(step, mean - half, mean, mean + half, VALIDATION.filled(), 6)
    });
    chart
        .draw_series(bars)?
        .label("validation, 95 % interval")
        .legend(swatch(VALIDATION));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .label_font(("sans-serif", 12))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_has_its_curve() {
        let train = Metric::Train {
            step: 10,
            loss: 1.5,
            accuracy: 40.0,
            learning_rate: 0.1,
            gradient_norm: 1.0,
            episodes_per_second: 9.0,
        };
        let validation = Metric::Validation {
            step: 20,
            accuracy: 60.0,
            ci95: 2.0,
            episodes: 100,
            train_seconds: 3.0,
        };
        let curves = Curves::of(&[train, validation]);
        assert_eq!(curves.loss, [(10.0, 1.5)]);
        assert_eq!(curves.accuracy, [(10.0, 40.0)]);
        assert_eq!(curves.validation, [(20.0, 60.0, 2.0)]);
        let svg = figure(&curves).expect("drawn").svg;
        assert!(svg.contains("validation, 95 % interval"), "{svg}");
        assert!(Curves::of(&[]).is_empty());
    }
}
