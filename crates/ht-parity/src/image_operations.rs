//! Image operations and the class permutation against recorded values of the released code:
//! the parameters stand in the tensors' names, so any file of the kind can be compared.

use ht_episodes::image_ops::geometric::{self, CropBox};
use ht_episodes::image_ops::photo::{self, Photo};
use ht_episodes::image_ops::{Picture, tone};
use ht_episodes::{ImageShape, python_shuffle};

use crate::tensors::{Array, Arrays};

/// How far one operation is from the recorded values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OpDeviation {
    /// The tensor's name, with the parameters.
    pub(crate) name: String,
    /// The largest absolute difference, as a part of the tensor's largest absolute value;
    /// infinite where the input is missing or the shapes differ.
    pub(crate) deviation: f64,
    /// The largest deviation that is right: zero for bytes and the permutation.
    pub(crate) tolerance: f64,
}

/// Part of a tensor's largest value that floats may differ by.
const FLOAT_TOLERANCE: f64 = 1e-4;

/// Compares each `out/..` tensor that is the result of an operation on images or classes; what
/// else the file holds is left out.
pub(crate) fn check_image_operations(tensors: &Arrays) -> Vec<OpDeviation> {
    tensors
        .iter()
        .filter_map(|(name, expected)| {
            let operation = Operation::parse(name.strip_prefix("out/")?)?;
            let computed = operation.run(tensors, expected);
            Some(OpDeviation {
                name: name.clone(),
                deviation: computed.map_or(f64::INFINITY, |values| {
                    let shape = expected.shape.clone();
                    Array { shape, values }.deviation_from(expected)
                }),
                tolerance: operation.tolerance(),
            })
        })
        .collect()
}

/// An operation with its parameters, as a tensor's name gives them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation<'a> {
    QuarterTurns(u8),
    Rotate(f32),
    Roll([f32; 2]),
    ResizeContent(f32),
    Resize(usize),
    Contrast(f32, &'a str),
    Smooth(&'a str),
    Negate,
    Bytes,
    Flip,
    Hue(f32),
    Brightness(f32),
    PhotoContrast(f32),
    Crop,
    Permutation { seed: u64, n_classes: usize },
}

impl<'a> Operation<'a> {
    /// Reads a name without its `out/`; `None` where it is of no operation here.
    fn parse(name: &'a str) -> Option<Self> {
        if let Some(rest) = name.strip_prefix("label_permutation_seed") {
            let (seed, set) = rest.split_once('_')?;
            let n_classes = set.trim_start_matches(|c: char| !c.is_ascii_digit());
            return Some(Self::Permutation {
                seed: seed.parse().ok()?,
                n_classes: n_classes.parse().ok()?,
            });
        }
        if let Some(rest) = name.strip_prefix("augment/") {
            return Self::parse_photo(rest);
        }
        let (kind, value) = name.split_once('/').unwrap_or((name, ""));
        Some(match kind {
            "rot90" => Self::QuarterTurns(value.parse().ok()?),
            "rotate" => Self::Rotate(value.parse().ok()?),
            "roll" => {
                let (rows, columns) = value.split_once('_')?;
                Self::Roll([rows.parse().ok()?, columns.parse().ok()?])
            }
            "resize" => Self::ResizeContent(value.parse().ok()?),
            "resize_images" => Self::Resize(value.split_once("_to_")?.0.parse().ok()?),
            "contrast" => Self::Contrast(value.parse().ok()?, "in/gray"),
            "contrast_rgb" => Self::Contrast(value.parse().ok()?, "in/rgb"),
            "smooth" => Self::Smooth(value),
            "negate" => Self::Negate,
            _ => return None,
        })
    }

    fn parse_photo(name: &str) -> Option<Self> {
        let (kind, value) = name.split_once('/').unwrap_or((name, ""));
        Some(match kind {
            "uint8" => Self::Bytes,
            "flip" => Self::Flip,
            "hue" => Self::Hue(value.parse().ok()?),
            "brightness" => Self::Brightness(value.parse().ok()?),
            "contrast" => Self::PhotoContrast(value.parse().ok()?),
            "crop_and_resize" => Self::Crop,
            _ => return None,
        })
    }

    fn tolerance(self) -> f64 {
        match self {
            Self::Bytes
            | Self::Flip
            | Self::Hue(_)
            | Self::Brightness(_)
            | Self::PhotoContrast(_)
            | Self::Permutation { .. } => 0.0,
            _ => FLOAT_TOLERANCE,
        }
    }

    /// The values that this project computes, laid out as the recorded ones; `None` where the
    /// input is missing or of another form.
    fn run(self, tensors: &Arrays, expected: &Array) -> Option<Vec<f32>> {
        if let Self::Permutation { seed, n_classes } = self {
            let order = python_shuffle(seed, n_classes);
            return Some(order.into_iter().map(|class| class as f32).collect());
        }
        let [_, height, width, _] = *expected.shape.as_slice() else {
            return None;
        };
        let boxes = tensors.get("in/boxes");
        let input = self.input(tensors, expected)?;
        let mut values = Vec::with_capacity(expected.values.len());
        for (index, picture) in pictures(input)?.into_iter().enumerate() {
            let computed = match self {
                Self::Crop => {
                    let part = boxes?.values.chunks_exact(4).nth(index)?;
                    let part = CropBox {
                        top: part[0],
                        left: part[1],
                        bottom: part[2],
                        right: part[3],
                    };
                    geometric::crop_and_resize(&picture.normalised(), part, height, width)
                }
                Self::Resize(_) => geometric::resize(&picture, height, width),
                _ => self.apply(picture),
            };
            values.extend(channels_last(&computed));
        }
        Some(values)
    }

    fn input<'t>(self, tensors: &'t Arrays, expected: &Array) -> Option<&'t Array> {
        let named = |name: &str| tensors.get(name);
        match self {
            Self::Contrast(_, name) => named(name),
            Self::Smooth(suffix) => named(&format!("in/{suffix}")),
            Self::Resize(size) => tensors.iter().find_map(|(name, tensor)| {
                let fits = name.starts_with("in/")
                    && tensor.shape.len() == 4
                    && tensor.shape[1] == size
                    && tensor.shape[0] == expected.shape[0]
                    && tensor.shape[3] == expected.shape[3];
                fits.then_some(tensor)
            }),
            Self::Bytes
            | Self::Flip
            | Self::Hue(_)
            | Self::Brightness(_)
            | Self::PhotoContrast(_)
            | Self::Crop => named("in/rgb"),
            _ => named("in/gray"),
        }
    }

    /// The operations that keep the size and need nothing but their parameters.
    fn apply(self, picture: Picture) -> Picture {
        let on_bytes = |operation: fn(Photo, f32) -> Photo, parameter| {
            let photo = Photo::from_normalised(&picture.clone().normalised());
            let changed = operation(photo, parameter);
            Picture::from_bytes(picture.shape(), changed.bytes())
        };
        match self {
            Self::QuarterTurns(turns) => geometric::quarter_turns(&picture, turns),
            Self::Rotate(angle) => geometric::rotate(&picture, angle),
            Self::Roll([rows, columns]) => geometric::roll(&picture, rows, columns),
            Self::ResizeContent(unit) => geometric::resize_content(&picture, unit),
            Self::Contrast(unit, _) => tone::contrast(picture, unit),
            Self::Smooth(_) => tone::smooth(picture),
            Self::Negate => tone::negate(picture),
            Self::Flip => on_bytes(|photo, _| photo::flip(photo), 0.0),
            Self::Hue(delta) => on_bytes(photo::hue, delta),
            Self::Brightness(delta) => on_bytes(photo::brightness, delta),
            Self::PhotoContrast(factor) => on_bytes(photo::contrast, factor),
            Self::Bytes | Self::Resize(_) | Self::Crop | Self::Permutation { .. } => {
                on_bytes(|photo, _| photo, 0.0)
            }
        }
    }
}

/// The pictures of a tensor `[n, H, W, C]`.
fn pictures(tensor: &Array) -> Option<Vec<Picture>> {
    let [_, height, width, channels] = *tensor.shape.as_slice() else {
        return None;
    };
    let shape = ImageShape {
        channels,
        height,
        width,
    };
    let picture = |image: &[f32]| {
        let plane = |channel| image.iter().skip(channel).step_by(channels).copied();
        Picture::new(shape, (0..channels).flat_map(plane).collect())
    };
    Some(
        tensor
            .values
            .chunks_exact(shape.len())
            .map(picture)
            .collect(),
    )
}

/// A picture's values in H, W, C order.
fn channels_last(picture: &Picture) -> Vec<f32> {
    let shape = picture.shape();
    let size = shape.height * shape.width;
    (0..shape.len())
        .map(|index| {
            let (pixel, channel) = (index / shape.channels, index % shape.channels);
            picture.values()[channel * size + pixel]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize], values: Vec<f32>) -> (String, Array) {
        let shape = shape.to_vec();
        (name.to_owned(), Array { shape, values })
    }

    #[test]
    fn a_difference_is_seen_and_other_tensors_are_left_out() {
        let rows = check_image_operations(&Arrays::from([
            tensor("in/gray", &[1, 1, 2, 1], vec![0.0, 55.0]),
            tensor("out/negate", &[1, 1, 2, 1], vec![255.0, 149.0]),
            tensor("out/roll/0.0_-0.5", &[1, 1, 2, 1], vec![55.0, 0.0]),
            tensor("out/augment/flip", &[1, 1, 2, 1], vec![1.0, 1.0]),
            tensor("out/lr_0.02", &[1], vec![0.02]),
        ]));
        assert_eq!(rows.len(), 3);
        let row = |name| rows.iter().find(|row| row.name == name).expect("checked");
        let negate = row("out/negate");
        assert!((negate.deviation - 51.0 / 255.0).abs() < 1e-6);
        assert!(negate.deviation > negate.tolerance);
        let roll = row("out/roll/0.0_-0.5");
        assert!(roll.deviation <= roll.tolerance);
        let flip = row("out/augment/flip");
        assert!(flip.deviation.is_infinite(), "no input");
    }
}
