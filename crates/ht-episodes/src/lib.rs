//! Few-shot episodes: images by class in, N-way K-shot episodes out.
//!
//! The way of the data, which is also the order of reading:
//!
//! ```text
//! source::load ─> ImageSet ─> ClassSplit ─> EpisodeSampler.plan(seed, split, index) ─> EpisodePlan
//!                 u8, by class  disjoint      pure function                              indices only
//!              ─> CollatedBatch ─> EpisodeBatch { SupportSet, QuerySet }
//!                 host pixels      tensors [E, S, C, H, W] and [E, Q, C, H, W]
//! ```
//!
//! An episode is a function of (seed, split, index): it does not depend on the
//! machine, on the episodes drawn before it, or on the number of threads.

mod augment;
mod augmented_pixels;
mod batch;
mod episode_augmentation;
mod episode_list;
mod error;
pub mod image_ops;
mod image_set;
mod jitter;
mod photo_augmentation;
mod picture;
mod plan;
mod prefetch;
mod python_random;
mod random;
mod sampler;
pub mod source;
mod spec;
mod split;
mod vectors;

pub use augment::{ClassRotation, Orientation, mirror, quarter_turn};
pub use augmented_pixels::augmented_pixels;
pub use batch::{CollatedBatch, EpisodeBatch, QuerySet, SupportSet, collate, normalize_pixel};
pub use episode_augmentation::{DrawnAugmentation, EpisodeAugmentation};
pub use episode_list::EpisodeList;
pub use error::EpisodeError;
pub use image_set::{ImageClass, ImageSet, ImageShape};
pub use jitter::{DrawnJitter, ImageJitter};
pub use photo_augmentation::{DrawnColours, DrawnPhoto, PhotoAugmentation};
pub use picture::{Picture, PictureFiles, class_folders, picture_files};
pub use plan::{EpisodePlan, ImageChange, PlannedClass, PlannedImage};
pub use prefetch::Prefetch;
pub use python_random::python_shuffle;
pub use random::stream;
pub use sampler::EpisodeSampler;
pub use source::{Channels, ClassFolders, ImageSource};
pub use spec::{ClassBalance, Division, EpisodeSpec, Irregular, QueryPool, Removal, Unlabelled};
pub use split::{ClassSplit, Split, SplitConfig};
pub use vectors::vectorized;
