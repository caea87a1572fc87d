//! Images grouped by class, as bytes: what every source produces and every sampler reads.
//!
//! One representation for all data sets (no trait): bytes are four times smaller than
//! floats, and a whole set stays in memory.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use crate::{EpisodeError, Split};

/// Shape of every image of a set: channels, height, width (C, H, W).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// C: 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// H, in pixels.
    pub height: usize,
    /// W, in pixels.
    pub width: usize,
}

/// `C x H x W`, as errors name it.
impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} x {}", self.channels, self.height, self.width)
    }
}

impl ImageShape {
    /// Bytes of one image: C · H · W.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether an image of this shape has no pixel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One class: its name and its images, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageClass {
    /// Name within the set, for example `Arcadian/character01`.
    pub name: String,
    /// Bytes of all images, each in C, H, W order.
    pub pixels: Vec<u8>,
    /// The part of the data set's own split that the class stands in, if it has one.
    pub official: Option<Split>,
}

/// All images of a data set, grouped by class, in a fixed order of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSet {
    shape: ImageShape,
    classes: Vec<ImageClass>,
    left_out: Vec<PathBuf>,
}

impl ImageSet {
    /// Joins classes into a set, in the given order.
    ///
    /// # Errors
    /// A class without images, or with bytes that are no whole number of images; two classes of one
    /// name, since splits go by names and could put the same class into training and test.
    pub fn new(shape: ImageShape, classes: Vec<ImageClass>) -> Result<Self, EpisodeError> {
        for class in &classes {
            if class.pixels.is_empty() || !class.pixels.len().is_multiple_of(shape.len()) {
                return Err(EpisodeError::BadClass {
                    class: class.name.clone(),
                    cause: format!(
                        "{} bytes, expected one or more images of {} bytes",
                        class.pixels.len(),
                        shape.len()
                    ),
                });
            }
        }
        let mut names = BTreeSet::new();
        if let Some(class) = classes.iter().find(|class| !names.insert(&class.name)) {
            return Err(EpisodeError::BadClass {
                class: class.name.clone(),
                cause: "stands in the set twice, expected once".to_owned(),
            });
        }
        Ok(Self {
            shape,
            classes,
            left_out: Vec::new(),
        })
    }

    /// The same set, which knows what lay beside its images and was not read.
    #[must_use]
    pub fn leaving_out(self, left_out: Vec<PathBuf>) -> Self {
        Self { left_out, ..self }
    }

    /// Pictures and folders beside its images that were not read, for whoever can tell the user;
    /// empty where the source is no folder of class folders.
    pub fn left_out(&self) -> &[PathBuf] {
        &self.left_out
    }

    /// Shape of every image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.classes.len()
    }

    /// Name of a class.
    pub fn class_name(&self, class: usize) -> &str {
        &self.classes[class].name
    }

    /// The part of the data set's own split that a class stands in, if it has one.
    pub fn official_split(&self, class: usize) -> Option<Split> {
        self.classes[class].official
    }

    /// Number of images of a class.
    pub fn n_images(&self, class: usize) -> usize {
        self.classes[class].pixels.len() / self.shape.len()
    }

    /// Bytes of one image, in C, H, W order.
    pub fn image(&self, class: usize, image: usize) -> &[u8] {
        let len = self.shape.len();
        &self.classes[class].pixels[image * len..(image + 1) * len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_classes_have_one_name() {
        let shape = ImageShape {
            channels: 1,
            height: 1,
            width: 1,
        };
        let set = |names: [&str; 3]| {
            let class = |name: &str| ImageClass {
                name: name.to_owned(),
                pixels: vec![0],
                official: None,
            };
            ImageSet::new(shape, names.map(class).to_vec())
        };
        assert!(set(["a", "b", "c"]).is_ok());
        let error = set(["a", "b", "a"]).expect_err("a is there twice");
        assert_eq!(
            error.to_string(),
            "class a: stands in the set twice, expected once"
        );
    }
}
