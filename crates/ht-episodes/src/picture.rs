//! Pictures that are no data set: the few that a person has of a task of their own, in class folders,
//! and single ones to be classified. They become images by the same steps as those of data sets.

use std::path::{Path, PathBuf};

use image::{DynamicImage, GenericImageView};

use crate::source::{
    ClassFolders, Listing, decode_bytes, decode_file, find_classes, fit, other_kinds,
    other_pictures,
};
use crate::{EpisodeError, ImageShape};

/// Folders inside folders that are searched for classes.
const MAX_DEPTH: usize = 1;
/// Colour channels further apart than this are a colour.
const GREY_TOLERANCE: u8 = 24;

/// A decoded PNG or JPEG picture of any size.
#[derive(Clone, Debug)]
pub struct Picture {
    image: DynamicImage,
}

impl Picture {
    /// Reads a file.
    ///
    /// # Errors
    /// An unreadable or too large file.
    pub fn read(path: &Path) -> Result<Self, EpisodeError> {
        Ok(Self {
            image: decode_file(path)?,
        })
    }

    /// Decodes the bytes of a file, which errors name.
    ///
    /// # Errors
    /// Bytes that are no PNG or JPEG picture, or one that is too large.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self, EpisodeError> {
        Ok(Self {
            image: decode_bytes(bytes, path)?,
        })
    }

    /// Whether at most one pixel of 100 has a colour.
    pub fn is_grey(&self) -> bool {
        let pixels = self.image.to_rgb8();
        let n_colours = pixels.pixels().filter(|pixel| {
            let [red, green, blue] = pixel.0;
            let (least, most) = (red.min(green).min(blue), red.max(green).max(blue));
            most - least > GREY_TOLERANCE
        });
        n_colours.count() * 100 <= pixels.pixels().len()
    }

    /// Whether its border is brighter than half of white, as paper is.
    pub fn is_light(&self) -> bool {
        let grey = self.image.to_luma8();
        let (width, height) = self.image.dimensions();
        let border = grey.enumerate_pixels().filter(|(x, y, _)| {
            let is_edge = |at: u32, end: u32| at == 0 || at + 1 == end;
            is_edge(*x, width) || is_edge(*y, height)
        });
        let (sum, n) = border.fold((0u64, 0u64), |(sum, n), (_, _, pixel)| {
            (sum + u64::from(pixel.0[0]), n + 1)
        });
        sum * 2 > n * 255
    }

    /// The bytes of an image, in C, H, W order: the shorter side scaled to that of `shape`, the centre
    /// cut out, one channel of luminance or three of colour; `invert` swaps light and dark.
    pub fn fit(&self, shape: ImageShape, invert: bool) -> Vec<u8> {
        let mut bytes = fit(&self.image, shape);
        if invert {
            for byte in &mut bytes {
                *byte = 255 - *byte;
            }
        }
        bytes
    }
}

/// The class folders directly below `root` with the files of their pictures, in order of names, and
/// what is not read: pictures of other kinds, loose ones in `root`, folders in class folders.
///
/// # Errors
/// An unreadable folder, or one without pictures directly in it.
pub fn class_folders(root: &Path) -> Result<ClassFolders, EpisodeError> {
    if !root.is_dir() {
        return Err(EpisodeError::MissingDataSet {
            name: "folder",
            path: root.to_owned(),
            expected: "a folder with a folder of PNG or JPEG pictures for each class",
        });
    }
    find_classes(root, MAX_DEPTH)
}

/// Pictures, and what lies beside them that is not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PictureFiles {
    /// PNG and JPEG files, in order of names.
    pub files: Vec<PathBuf>,
    /// Pictures of other kinds, and folders.
    pub left_out: Vec<PathBuf>,
}

/// The pictures that a path stands for: itself, or those directly in a folder.
///
/// # Errors
/// An unreadable folder, or one without pictures.
pub fn picture_files(path: &Path) -> Result<PictureFiles, EpisodeError> {
    if !path.is_dir() {
        return Ok(PictureFiles {
            files: vec![path.to_owned()],
            left_out: Vec::new(),
        });
    }
    let Listing {
        folders,
        pictures,
        others,
    } = Listing::of(path)?;
    if pictures.is_empty() {
        let cause = ["a folder without PNG or JPEG pictures".to_owned()];
        let causes: Vec<String> = cause.into_iter().chain(other_kinds(&others)).collect();
        return Err(EpisodeError::unreadable(path, causes.join("; ")));
    }
    Ok(PictureFiles {
        files: pictures,
        left_out: other_pictures(&others).chain(folders).collect(),
    })
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, Rgb, RgbImage};

    use super::*;

    /// Ink of one brightness on paper of another.
    fn drawing(ink: u8, paper: u8) -> Picture {
        let image = GrayImage::from_fn(40, 40, |x, _| Luma([if x == 20 { ink } else { paper }]));
        Picture {
            image: DynamicImage::ImageLuma8(image),
        }
    }

    #[test]
    fn paper_is_told_from_a_dark_ground() {
        assert!(drawing(0, 255).is_light());
        assert!(!drawing(255, 0).is_light());
    }

    #[test]
    fn inverted_ink_is_the_same_drawing() {
        let shape = ImageShape {
            channels: 1,
            height: 40,
            width: 40,
        };
        let (bright, dark) = (drawing(255, 0), drawing(0, 255));
        assert_eq!(bright.fit(shape, false), dark.fit(shape, true));
        assert_ne!(bright.fit(shape, false), dark.fit(shape, false));
    }

    #[test]
    fn a_little_colour_is_no_colour() {
        let coloured = |n: u32| Picture {
            image: DynamicImage::ImageRgb8(RgbImage::from_fn(20, 20, |x, y| {
                Rgb(if y == 0 && x < n {
                    [200, 0, 0]
                } else {
                    [90, 100, 110]
                })
            })),
        };
        assert!(coloured(4).is_grey());
        assert!(!coloured(5).is_grey());
    }

    #[test]
    fn folders_name_the_classes() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let missing = folder.path().join("missing");
        let error = class_folders(&missing).expect_err("none").to_string();
        assert!(
            error.contains("missing") && error.contains("for each class"),
            "{error}"
        );
        for (class, name) in [("b", "2.png"), ("b", "1.png"), ("a", "1.png")] {
            let class = folder.path().join(class);
            std::fs::create_dir_all(&class).expect("made");
            let path = class.join(name);
            drawing(0, 255).image.save(path).expect("written");
        }
        let classes = class_folders(folder.path()).expect("two").classes;
        let found: Vec<(&str, usize)> = (classes.iter())
            .map(|(name, files)| (name.as_str(), files.len()))
            .collect();
        assert_eq!(found, [("a", 1), ("b", 2)]);
        assert_eq!(
            picture_files(&folder.path().join("b")).expect("two").files,
            classes[1].1
        );
        for name in ["b/3.webp", "b/notes.txt", "b/.hidden.png", "c.gif"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        let found = picture_files(&folder.path().join("b")).expect("two");
        assert_eq!(found.files, classes[1].1);
        assert_eq!(found.left_out, [folder.path().join("b/3.webp")]);
        let error = picture_files(folder.path()).expect_err("none").to_string();
        assert!(
            error.contains("without PNG or JPEG") && error.contains("1 .gif"),
            "{error}"
        );
    }
}
