//! Figures as text: plotters draws the SVG; what is made of many cells (maps of attention,
//! kernels, pictures) is one embedded PNG each, because a rectangle per cell would take
//! megabytes.

use std::io::Cursor;

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, Rgb, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What a figure is drawn on.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What can go wrong while drawing.
pub(super) type Drawn<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Blue, white, red: below, at and above zero.
const DIVERGING: [RGBColor; 5] = [
    RGBColor(5, 48, 97),
    RGBColor(67, 147, 195),
    RGBColor(250, 250, 250),
    RGBColor(214, 96, 77),
    RGBColor(103, 0, 31),
];
/// White to dark blue.
const SEQUENTIAL: [RGBColor; 4] = [
    RGBColor(255, 255, 255),
    RGBColor(158, 202, 225),
    RGBColor(33, 113, 181),
    RGBColor(8, 29, 72),
];

/// One figure of the page, which is also a file.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    /// Name of the file, without its ending.
    pub(super) name: String,
    /// What it shows, for who cannot see it.
    pub(super) title: String,
    /// The drawing.
    pub(super) svg: String,
    /// The cells alone, where they are what matters.
    pub(super) png: Option<Vec<u8>>,
}

/// A raster and where it stands in a drawing, in pixels.
pub(super) struct Placed {
    /// Left and upper edge.
    pub(super) at: (i32, i32),
    /// The pixels.
    pub(super) raster: RgbImage,
}

/// Draws a figure of a size in pixels; `draw` returns the rasters that lie below the lines.
pub(super) fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Drawn<Vec<Placed>>,
) -> Result<String> {
    let mut text = String::new();
    let rasters = {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let fail = |cause: Box<dyn std::error::Error>| anyhow!("cannot draw a figure: {cause}");
        area.fill(&WHITE).map_err(|cause| fail(Box::new(cause)))?;
        let rasters = draw(&area).map_err(fail)?;
        area.present().map_err(|cause| fail(Box::new(cause)))?;
        rasters
    };
    // Behind the white ground, before everything else.
    let ground = text.find("/>\n").map_or(0, |at| at + 3);
    for Placed { at, raster } in rasters {
        let (width, height) = raster.dimensions();
        let data = STANDARD.encode(png(&raster)?);
        let image = format!(
            "<image x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\" \
             style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{data}\"/>\n",
            at.0, at.1
        );
        text.insert_str(ground, &image);
    }
    Ok(text)
}

/// A raster as a file.
pub(super) fn png(raster: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    raster.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

/// A raster with one square of `cell` pixels per value.
pub(super) fn cells(
    rows: usize,
    columns: usize,
    cell: usize,
    colour: impl Fn(usize, usize) -> Rgb<u8>,
) -> RgbImage {
    let (width, height) = (columns * cell, rows * cell);
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        colour(y as usize / cell, x as usize / cell)
    })
}

/// The colour of a share in [0, 1].
pub(super) fn sequential(share: f64) -> Rgb<u8> {
    rgb(DerivedColorMap::new(&SEQUENTIAL).get_color(share.clamp(0.0, 1.0)))
}

/// The colour of a value in [-1, 1].
pub(super) fn diverging(value: f64) -> Rgb<u8> {
    let place = f64::midpoint(value.clamp(-1.0, 1.0), 1.0);
    rgb(DerivedColorMap::new(&DIVERGING).get_color(place))
}

fn rgb(RGBColor(red, green, blue): RGBColor) -> Rgb<u8> {
    Rgb([red, green, blue])
}

/// Black text of a size in pixels that stands on one side of a point, or around it.
pub(super) fn text(size: f64, side: HPos) -> TextStyle<'static> {
    let style = TextStyle::from(("sans-serif", size).into_font());
    style.pos(Pos::new(side, VPos::Center)).color(&BLACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_pale_and_the_ends_are_dark() {
        let light = |Rgb([r, g, b]): Rgb<u8>| u32::from(r) + u32::from(g) + u32::from(b);
        assert!(light(diverging(0.0)) > 700);
        assert!(light(diverging(-1.0)) < 200 && light(diverging(1.0)) < 200);
        assert_ne!(diverging(-0.5), diverging(0.5));
        assert_eq!(sequential(0.0), Rgb([255, 255, 255]));
        assert!(light(sequential(1.0)) < 200);
    }

    #[test]
    fn a_raster_lies_between_the_ground_and_the_lines() {
        let drawn = svg((60, 40), |area| {
            area.draw(&Circle::new((9, 9), 3, BLACK.filled()))?;
            Ok(vec![Placed {
                at: (5, 6),
                raster: cells(2, 3, 4, |row, column| {
                    sequential((row + column) as f64 / 3.0)
                }),
            }])
        });
        let drawn = drawn.expect("drawn");
        let place = |part: &str| {
            drawn
                .find(part)
                .unwrap_or_else(|| panic!("{part} in {drawn}"))
        };
        assert!(place("<rect") < place("<image"));
        assert!(place("<image") < place("<circle"));
        assert!(drawn.contains("x=\"5\" y=\"6\" width=\"12\" height=\"8\""));
    }
}
