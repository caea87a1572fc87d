//! Classes that are taken for each other: pictures of the pairs, and the matrix of groups.

use anyhow::Result;
use ht_episodes::{ImageSet, ImageShape};
use image::{Rgb, RgbImage, imageops};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::super::confusion::{GroupMatrix, Pair};
use super::super::figure::{Figure, Placed, cells, sequential, svg, text};

/// Pictures of each class of a pair.
const PICTURES: usize = 4;
/// Side of a picture in pixels.
const PICTURE: u32 = 56;

/// Draws some pictures of both classes of each pair.
pub(in super::super) fn pairs_figure(images: &ImageSet, pairs: &[Pair]) -> Result<Figure> {
    let strip = (PICTURES as u32 * (PICTURE + 2)) as i32;
    let names = 220;
    let step = PICTURE as i32 + 12;
    let size = (2 * (strip + names) + 20, step * pairs.len() as i32 + 8);
    let svg = svg((size.0 as u32, size.1 as u32), |area| {
        let mut placed = Vec::new();
        for (row, pair) in (0..).zip(pairs) {
            let top = 8 + row * step;
            for (side, class) in (0..).zip(pair.classes) {
                let left = side * (strip + names + 20);
                let name = shortened(images.class_name(class));
                let at = (left + names - 8, top + PICTURE as i32 / 2);
                area.draw_text(&name, &text(12.0, HPos::Right), at)?;
                placed.push(Placed {
                    at: (left + names, top),
                    raster: strip_of(images, class),
                });
            }
        }
        Ok(placed)
    })?;
    Ok(Figure {
        name: "confused-pairs".to_owned(),
        title: "Pictures of the pairs of classes that are confused most".to_owned(),
        svg,
        png: None,
    })
}

/// A long name without its middle: the end tells classes of one group apart.
fn shortened(name: &str) -> String {
    const MOST: usize = 32;
    let n = name.chars().count();
    if n <= MOST {
        return name.to_owned();
    }
    let start: String = name.chars().take(MOST / 2 - 2).collect();
    let end: String = name.chars().skip(n - MOST / 2).collect();
    format!("{start}..{end}")
}

/// The first pictures of a class beside each other.
fn strip_of(images: &ImageSet, class: usize) -> RgbImage {
    let n = images.n_images(class).min(PICTURES);
    let step = PICTURE + 2;
    let white = Rgb([255, 255, 255]);
    let mut strip = RgbImage::from_pixel(step * PICTURES as u32, PICTURE, white);
    for at in 0..n {
        let picture = picture(images.image(class, at), images.shape());
        imageops::replace(&mut strip, &picture, i64::from(step) * at as i64, 0);
    }
    strip
}

fn picture(bytes: &[u8], shape: ImageShape) -> RgbImage {
    let ImageShape {
        channels,
        height,
        width,
    } = shape;
    let colour = |x: u32, y: u32| {
        let channel = |c: usize| {
            let c = c.min(channels - 1);
            bytes[(c * height + y as usize) * width + x as usize]
        };
        Rgb([channel(0), channel(1), channel(2)])
    };
    let picture = RgbImage::from_fn(width as u32, height as u32, colour);
    imageops::resize(&picture, PICTURE, PICTURE, imageops::FilterType::Triangle)
}

/// Draws the matrix of groups.
pub(in super::super) fn matrix_figure(names: &[&str], matrix: &GroupMatrix) -> Result<Figure> {
    let n = names.len();
    let cell = (700 / n.max(1)).clamp(12, 36);
    let side = (n * cell) as i32;
    let (left, top) = (230, 24);
    let size = (left + side + 20, top + side + 190);
    let rates = matrix.rates.iter().flatten().flatten();
    let largest = rates.copied().fold(1e-9, f64::max);
    let svg = svg((size.0 as u32, size.1 as u32), |area| {
        let raster = cells(n, n, cell, |row, column| match matrix.rates[row][column] {
            Some(rate) => sequential(rate / largest),
            None => Rgb([235, 225, 205]),
        });
        let frame = [(left, top), (left + side, top + side)];
        area.draw(&Rectangle::new(frame, BLACK.stroke_width(1)))?;
        let scale = format!("darkest: {:.1} %", 100.0 * largest);
        area.draw_text(&scale, &text(12.0, HPos::Left), (left, top - 11))?;
        let size = (cell as f64 - 2.0).min(12.0);
        for (at, name) in names.iter().enumerate() {
            let centre = (at * cell + cell / 2) as i32;
            let name = shortened(name);
            area.draw_text(&name, &text(size, HPos::Right), (left - 5, top + centre))?;
            let turned = text(size, HPos::Right).transform(FontTransform::Rotate270);
            area.draw_text(&name, &turned, (left + centre, top + side + 5))?;
        }
        Ok(vec![Placed {
            at: (left, top),
            raster,
        }])
    })?;
    Ok(Figure {
        name: "confused-groups".to_owned(),
        title: "How often an image of one group is taken for a class of another".to_owned(),
        svg,
        png: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_ends() {
        let name = "a_very_long_alphabet_name_without_end/character01";
        let short = shortened(name);
        assert!(short.starts_with("a_very_long") && short.ends_with("character01"));
        assert_eq!(short.chars().count(), 32);
        assert_eq!(shortened("Greek/character01"), "Greek/character01");
    }

    #[test]
    fn grey_and_coloured_pictures_keep_their_colours() {
        let shape = |channels| ImageShape {
            channels,
            height: 1,
            width: 1,
        };
        assert_eq!(*picture(&[7], shape(1)).get_pixel(3, 3), Rgb([7, 7, 7]));
        assert_eq!(
            *picture(&[7, 8, 9], shape(3)).get_pixel(0, 0),
            Rgb([7, 8, 9])
        );
    }
}
