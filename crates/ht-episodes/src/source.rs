//! Where images come from: one function per kind of data set, all ending in an [`ImageSet`].
//!
//! Files from outside are untrusted: counts and sizes are checked before memory is taken.

mod archive;
mod cache;
mod cifar;
mod decode;
mod folder;
mod glyphs;
mod mini_imagenet;
mod npy;
mod official;
mod omniglot;
mod pickle;
mod tiered_imagenet;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{EpisodeError, ImageSet, ImageShape};

pub(crate) use archive::open_table;
pub use glyphs::GlyphsConfig;

pub(crate) use decode::{decode_bytes, decode_file, fit};
pub use folder::ClassFolders;
pub(crate) use folder::{Listing, find_classes, other_kinds, other_pictures};

/// How many colour channels images are read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// One channel of luminance.
    Grey,
    /// Red, green and blue.
    Colour,
}

impl Channels {
    /// C.
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Colour => 3,
        }
    }
}

/// Which data set, and how its images are prepared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ImageSource {
    /// The built-in stroke glyphs, drawn by code.
    Glyphs(GlyphsConfig),
    /// Omniglot from npz files, the original zip archives or folders; ink is bright.
    Omniglot {
        /// Side of the square images after resizing, in pixels.
        image_size: usize,
    },
    /// miniImageNet from pickles, tables with pictures, folders or the released code's array.
    MiniImagenet {
        /// Side of the square images after resizing, in pixels.
        image_size: usize,
    },
    /// tieredImageNet from pickled PNG pictures, npz files or the released code's chunks.
    TieredImagenet {
        /// Side of the square images after resizing, in pixels.
        image_size: usize,
    },
    /// CIFAR-FS from class folders or pickles.
    CifarFs {
        /// Side of the square images after resizing, in pixels.
        image_size: usize,
    },
    /// FC100 from pickles.
    Fc100 {
        /// Side of the square images after resizing, in pixels.
        image_size: usize,
    },
    /// A cache of the released HyperTransformer code, without names or split.
    NpyCache {
        /// The file `<name>.npy` or the folder `<name>`.
        name: String,
        /// Side of the square images after resizing, in pixels.
        image_size: usize,
        /// Grey or colour.
        channels: Channels,
    },
    /// A folder of class folders with PNG or JPEG images, resized and centre-cropped.
    Folder {
        /// Side of the square images after resizing, in pixels.
        image_size: usize,
        /// Grey or colour.
        channels: Channels,
    },
}

impl ImageSource {
    /// Shape of every image that [`load`](Self::load) returns.
    pub fn shape(&self) -> ImageShape {
        let (size, channels) = match self {
            Self::Glyphs(config) => (config.image_size, Channels::Grey),
            Self::Omniglot { image_size } => (*image_size, Channels::Grey),
            Self::MiniImagenet { image_size }
            | Self::TieredImagenet { image_size }
            | Self::CifarFs { image_size }
            | Self::Fc100 { image_size } => (*image_size, Channels::Colour),
            Self::Folder {
                image_size,
                channels,
            }
            | Self::NpyCache {
                image_size,
                channels,
                ..
            } => (*image_size, *channels),
        };
        ImageShape {
            channels: channels.count(),
            height: size,
            width: size,
        }
    }

    /// Whether the images are drawings: bright ink on black.
    pub fn is_drawings(&self) -> bool {
        matches!(self, Self::Glyphs(_) | Self::Omniglot { .. })
    }

    /// Reads or draws the whole data set.
    ///
    /// `folder` is where the files lie; the built-in glyphs need none.
    ///
    /// # Errors
    /// A missing folder or data set, an unreadable or too large file, a class without images.
    pub fn load(&self, folder: Option<&Path>) -> Result<ImageSet, EpisodeError> {
        let needed = |name| folder.ok_or(EpisodeError::NoDataFolder { name });
        let shape = self.shape();
        check_image_size(shape.height)?;
        match self {
            Self::Glyphs(config) => glyphs::draw_set(config),
            Self::Omniglot { .. } => omniglot::load(needed("omniglot")?, shape),
            Self::MiniImagenet { .. } => mini_imagenet::load(needed("mini-imagenet")?, shape),
            Self::TieredImagenet { .. } => tiered_imagenet::load(needed("tiered-imagenet")?, shape),
            Self::CifarFs { .. } => cifar::load_cifar_fs(needed("cifar-fs")?, shape),
            Self::Fc100 { .. } => cifar::load_fc100(needed("fc100")?, shape),
            Self::NpyCache { name, .. } => cache::load(needed("npy-cache")?, name, shape),
            Self::Folder { .. } => folder::load(needed("folder")?, shape),
        }
    }
}

/// Larger images than this are no few-shot images, and would fill the memory.
const MAX_IMAGE_SIZE: usize = 1024;

fn check_image_size(image_size: usize) -> Result<(), EpisodeError> {
    if (1..=MAX_IMAGE_SIZE).contains(&image_size) {
        Ok(())
    } else {
        Err(EpisodeError::BadNumber {
            key: "data.image_size",
            value: image_size,
            expected: "1 to 1024",
        })
    }
}
