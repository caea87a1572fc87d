//! What a bundle says about itself: everything that a program needs besides the weights.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{BundleError, Image};

/// Labels, the way from a picture to an image, how far to believe an answer, and where it all
/// comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The labels in the order of the logits: 1 to 1024, different, each 1 to 255 bytes.
    pub labels: Vec<String>,
    /// From a picture to the bytes of an image.
    pub preprocessing: Preprocessing,
    /// What logits are divided by before the softmax; above 0.
    pub temperature: f32,
    /// When to say that a picture is none of the labels.
    pub rejection: Option<Rejection>,
    /// What wrote the weights.
    pub generator: Generator,
    /// The pictures that it saw.
    pub support: Vec<SupportImage>,
}

/// From a picture to the bytes of an image, to the last rounding.
///
/// A decoded picture (8 bits per channel, transparency dropped) goes through these steps in order:
/// `resize`, then `colour`, then `invert`, then `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Channels of the image.
    pub colour: Colour,
    /// Rows and columns of the image.
    pub side: usize,
    /// How a picture gets its size.
    pub resize: Resize,
    /// Whether each byte b becomes 255 - b: pictures with dark ink on white, for a CNN made for
    /// bright ink on black.
    pub invert: bool,
    /// How a byte becomes a number.
    pub value: PixelValue,
}

/// Channels of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// One channel: (2126 R + 7152 G + 722 B) / 10000, rounded down, as `image` 0.25 does.
    Grey,
    /// Three: red, green, blue.
    Rgb,
}

/// How a picture gets its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// A picture at least four times as long as wide is first cut to its central square. Then the
    /// shorter side is scaled to `side`, the longer in proportion and rounded up, by Lanczos with
    /// three lobes as in `image` 0.25 (none if the size is right already). Then the centre is cut
    /// out, an odd pixel dropped at the end.
    ShorterSideLanczos3CentreCut,
}

/// How a byte becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PixelValue {
    /// byte / 128 - 1, exact in float32.
    #[serde(rename = "byte/128-1")]
    ByteOver128Minus1,
}

/// When to say that a picture is none of the labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// The most that all other labels may have together, after temperature, for the best label to be
    /// accepted: 0 to 1. It is as exact as it is small, where the best label's own probability, 1
    /// minus it, is not.
    pub most_doubt: f64,
    /// The rate for which it was chosen: accepted pictures of other classes, 0 to 1.
    pub false_accept_rate: f32,
    /// On what it was chosen.
    pub measured_on: String,
}

/// What wrote the weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Its name, a person's.
    pub name: String,
    /// SHA-256 of its parameters' values.
    pub parameters_sha256: String,
    /// Its experiment's config, as TOML.
    pub config: String,
}

/// A picture that the generator saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupportImage {
    /// Its file, below the folder of the support set, with `/`.
    pub file: String,
    /// Its label; none for an unlabelled one.
    pub label: Option<String>,
    /// SHA-256 of the file.
    pub sha256: String,
}

impl Colour {
    /// Channels.
    pub fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

impl Preprocessing {
    /// Shape of the images.
    pub fn image(&self) -> Image {
        Image {
            channels: self.colour.channels(),
            height: self.side,
            width: self.side,
        }
    }

    /// One line for a person.
    pub fn describe(&self) -> String {
        let colour = match self.colour {
            Colour::Grey => "grey",
            Colour::Rgb => "red, green, blue",
        };
        let Self { side, invert, .. } = self;
        let swap = if *invert {
            ", light and dark swapped (255 - byte)"
        } else {
            ""
        };
        format!(
            "shorter side scaled to {side} pixels by Lanczos3, centre cut to {side} x {side}, \
             {colour}{swap}, value = byte / 128 - 1"
        )
    }
}

/// Pictures of a support set.
const MAX_SUPPORT: usize = 10_000;
/// Bytes of a file's name.
const MAX_NAME: usize = 4096;
/// Bytes of a generator's config.
const MAX_CONFIG: usize = 256 << 10;

impl Manifest {
    /// Checks every value by itself and against the images of the CNN.
    pub(crate) fn check(&self, image: Image, n_labels: usize) -> Result<(), BundleError> {
        self.check_labels(n_labels)?;
        if self.preprocessing.image() != image {
            return Err(BundleError::value(
                "preprocessing",
                format!(
                    "makes images of {:?}, the network takes {image:?}",
                    self.preprocessing.image()
                ),
            ));
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            let cause = format!("{}, expected a number above 0", self.temperature);
            return Err(BundleError::value("temperature", cause));
        }
        if let Some(rejection) = &self.rejection {
            for (field, value) in [
                ("rejection.most_doubt", rejection.most_doubt),
                (
                    "rejection.false_accept_rate",
                    rejection.false_accept_rate.into(),
                ),
            ] {
                if !(0.0..=1.0).contains(&value) {
                    return Err(BundleError::value(
                        field,
                        format!("{value}, expected 0 to 1"),
                    ));
                }
            }
            check_text("rejection.measured_on", &rejection.measured_on, MAX_NAME)?;
        }
        check_text("generator.name", &self.generator.name, MAX_NAME)?;
        check_digest(
            "generator.parameters_sha256",
            &self.generator.parameters_sha256,
        )?;
        if self.generator.config.len() > MAX_CONFIG {
            let cause = format!("more than {MAX_CONFIG} bytes");
            return Err(BundleError::value("generator.config", cause));
        }
        self.check_support()
    }

    fn check_labels(&self, n_labels: usize) -> Result<(), BundleError> {
        if self.labels.len() != n_labels || n_labels == 0 {
            let found = self.labels.len();
            let cause = format!("{found} labels for {n_labels} logits");
            return Err(BundleError::value("labels", cause));
        }
        let mut seen = BTreeSet::new();
        for label in &self.labels {
            check_text("labels", label, 255)?;
            if label.is_empty() || !seen.insert(label) {
                let cause = format!("{label:?} is empty or stands twice");
                return Err(BundleError::value("labels", cause));
            }
        }
        Ok(())
    }

    fn check_support(&self) -> Result<(), BundleError> {
        let n_images = self.support.len();
        if n_images > MAX_SUPPORT {
            let cause = format!("{n_images} images, expected at most {MAX_SUPPORT}");
            return Err(BundleError::value("support", cause));
        }
        let labels: BTreeSet<&String> = self.labels.iter().collect();
        for image in &self.support {
            check_text("support.file", &image.file, MAX_NAME)?;
            check_digest("support.sha256", &image.sha256)?;
            if let Some(label) = image.label.as_ref().filter(|label| !labels.contains(label)) {
                let cause = format!("{label:?} is none of the labels");
                return Err(BundleError::value("support.label", cause));
            }
        }
        Ok(())
    }
}

/// Text for a terminal: bounded, without control characters.
fn check_text(field: &str, text: &str, most: usize) -> Result<(), BundleError> {
    if text.len() > most || text.chars().any(char::is_control) {
        let cause = format!("more than {most} bytes, or a control character: {text:.40?}");
        return Err(BundleError::value(field, cause));
    }
    Ok(())
}

pub(crate) fn check_digest(field: &str, digest: &str) -> Result<(), BundleError> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digest.len() == 64 && digest.bytes().all(is_hex) {
        Ok(())
    } else {
        Err(BundleError::value(
            field,
            "expected 64 hexadecimal digits in lower case",
        ))
    }
}
