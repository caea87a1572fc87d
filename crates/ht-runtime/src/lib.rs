//! Runs a generated CNN on a device: `no_std`, no allocation, no `unsafe`.
//!
//! One file holds everything: labels, temperature, the most accepted doubt and weights. It is read
//! where it lies (flash memory, say), and one slice of `f32` is all the memory that is needed.
//!
//! ```text
//! Cnn::parse(file) ─> cnn.load(workspace) ─> network.classify(image, logits) ─> cnn.probabilities ─> cnn.decide
//! ```
//!
//! # Memory
//! [`Cnn::workspace_len`] values of 4 bytes: the unpacked weights, and the activations of the two
//! neighbouring layers that need most ([`Cnn::activations_len`]). The stack takes about 8 kB:
//! [`Cnn`] and [`Network`] hold the sizes of up to 16 layers each.
//!
//! # Trust
//! A file may come from anywhere. [`Cnn::parse`] bounds every size before it is used, and a file
//! that it accepts can neither panic nor run without end ([`Cnn::multiply_adds`] is bounded). What
//! it cannot know is whether the weights make sense; `ht-bundle` keeps digests.
#![no_std]

mod cnn;
mod convolution;
mod decision;
mod error;
mod layer;
mod network;
mod reader;

pub use cnn::{
    Cnn, MAGIC, MAX_FILE_BYTES, MAX_IMAGE_CHANNELS, MAX_LABELS, MAX_LAYERS, MAX_SIDE, VERSION,
};
pub use decision::Decision;
pub use error::Error;
pub use layer::{MAX_CHANNELS, MAX_KERNEL, Precision, Shape};
pub use network::Network;
