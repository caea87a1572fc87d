//! The kernels of one layer of two episodes, and their difference: in the same colours, and in
//! colours of its own, because it can be too small to be seen in those.

use anyhow::Result;
use image::{Rgb, RgbImage, imageops};
use plotters::style::text_anchor::HPos;

use super::super::figure::{Figure, Placed, diverging, png, svg, text};

/// Side of a panel in pixels, about; kernels beyond it are left out.
const SIDE: usize = 280;
/// Between two kernels.
const GAP: usize = 2;
const GROUND: Rgb<u8> = Rgb([200, 200, 200]);
const TITLE: i32 = 30;
const MARGIN: i32 = 44;

/// Draws one episode's kernels, the other's, and twice the first less the second.
///
/// `shape` is O, I, F, F, and `kernels` are values in that order: rows of a panel are output
/// channels (or classes), columns input channels (or features).
pub(in super::super) fn figure(
    layer: &str,
    shape: [usize; 4],
    kernels: [&[f32]; 2],
) -> Result<Figure> {
    let [first, second] = kernels;
    let difference: Vec<f32> = first.iter().zip(second).map(|(a, b)| a - b).collect();
    let difference = difference.as_slice();
    let panels = [first, second, difference];
    let largest_of = |values: &[f32]| {
        values
            .iter()
            .fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()))
    };
    let largest = panels.map(largest_of).into_iter().fold(0.0, f32::max);
    let own = largest_of(difference);
    let rasters = [
        raster(shape, first, largest),
        raster(shape, second, largest),
        raster(shape, difference, largest),
        raster(shape, difference, own),
    ];
    let [width, height] = [rasters[0].width() as i32, rasters[0].height() as i32];
    let step = width.max(170) + 24;
    let size = (step * 4 + MARGIN, height + TITLE + MARGIN);
    let titles = ["episode A", "episode B", "A - B", "A - B, own colours"];
    let scales = [largest, largest, largest, own];
    let (rows, columns) = if shape[2] == 1 && layer == "logits" {
        ("classes", "features")
    } else {
        ("output channels", "input channels")
    };
    let drawing = svg((size.0 as u32, size.1 as u32), |area| {
        let mut placed = Vec::new();
        for (((at, raster), title), scale) in (0..).zip(&rasters).zip(titles).zip(scales) {
            let left = MARGIN + at * step;
            area.draw_text(title, &text(14.0, HPos::Left), (left, TITLE - 14))?;
            let below = |line: i32| (left, TITLE + height + line);
            area.draw_text(columns, &text(12.0, HPos::Left), below(14))?;
            let digits = if scale < 0.1 { 4 } else { 2 };
            let scale = format!("blue -{scale:.digits$}, red {scale:.digits$}");
            area.draw_text(&scale, &text(12.0, HPos::Left), below(32))?;
            placed.push(Placed {
                at: (left, TITLE),
                raster: raster.clone(),
            });
        }
        let turned =
            text(12.0, HPos::Center).transform(plotters::prelude::FontTransform::Rotate270);
        area.draw_text(rows, &turned, (MARGIN / 2, TITLE + height / 2))?;
        Ok(placed)
    })?;
    Ok(Figure {
        name: format!("kernels-{}", layer.replace(' ', "-")),
        title: format!("Weights of {layer} in two episodes, and their difference"),
        svg: drawing,
        png: Some(png(&beside(&rasters))?),
    })
}

/// Kernels in a grid of output and input channels.
fn raster([o, i, f, _]: [usize; 4], values: &[f32], largest: f32) -> RgbImage {
    let gap = if f > 1 { GAP } else { 0 };
    let shown = |channels: usize| channels.min(SIDE / f).max(1);
    let (rows, columns) = (shown(o), shown(i));
    let cell = (SIDE / (rows.max(columns) * f)).clamp(1, 14);
    let tile = f * cell + gap;
    let (width, height) = (columns * tile + gap, rows * tile + gap);
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let inside = |at: u32| {
            let at = (at as usize).checked_sub(gap)?;
            let (channel, within) = (at / tile, (at % tile) / cell);
            (within < f).then_some((channel, within))
        };
        match (inside(y), inside(x)) {
            (Some((out, row)), Some((channel, column))) => {
                let at = ((out * i + channel) * f + row) * f + column;
                diverging(f64::from(values[at] / largest))
            }
            _ => GROUND,
        }
    })
}

fn beside(rasters: &[RgbImage; 4]) -> RgbImage {
    let (width, height) = rasters[0].dimensions();
    let step = width + 3 * GAP as u32;
    let mut all = RgbImage::from_pixel(step * 3 + width, height, Rgb([255, 255, 255]));
    for (at, raster) in rasters.iter().enumerate() {
        imageops::replace(&mut all, raster, i64::from(step) * at as i64, 0);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_has_its_place_and_the_difference_its_colour() {
        // Two outputs, one input, 2 x 2: only the last weight of the second kernel differs.
        let first = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        let second = [0.0; 8];
        let shape = [2, 1, 2, 2];
        let drawn = raster(shape, &first, 1.0);
        let (width, height) = drawn.dimensions();
        let last = drawn.get_pixel(width - 1 - GAP as u32, height - 1 - GAP as u32);
        assert_eq!(*last, diverging(1.0));
        assert_eq!(*drawn.get_pixel(GAP as u32, GAP as u32), diverging(0.0));
        assert_eq!(*drawn.get_pixel(0, 0), GROUND);
        let figure = figure("layer 1", shape, [&first, &second]).expect("drawn");
        assert_eq!(figure.svg.matches("<image").count(), 4);
        let all = image::load_from_memory(&figure.png.expect("a file")).expect("PNG");
        assert_eq!(all.height(), height);
    }

    #[test]
    fn many_features_fit() {
        let values = vec![0.5; 5 * 900];
        assert!(raster([5, 900, 1, 1], &values, 1.0).width() <= SIDE as u32);
    }
}
