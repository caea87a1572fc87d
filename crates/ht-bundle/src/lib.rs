//! What leaves home: a generated CNN as files that other programs read.
//!
//! A [`Bundle`] is a small CNN in plain numbers, what a program must know to use it (labels,
//! preprocessing, temperature, the most accepted doubt, where it comes from), and golden images with
//! the logits that they must give. There is no tensor library here, but behind the feature
//! `generated`, which takes CNNs off their device.
//!
//! ```text
//! Bundle ─ write ─> folder ─ read ─> Bundle ─ verify ─> Verification
//!        ├─ device_file ─> bytes for ht-runtime
//!        ├─ onnx ────────> bytes for any ONNX runtime
//!        └─ c_header ────> one file of C99
//! ```
//!
//! docs/bundle.md specifies each file.

mod bundle;
mod c_header;
mod cnn;
mod device_file;
mod document;
mod error;
#[cfg(feature = "generated")]
mod generated;
mod manifest;
mod onnx;
mod quantize;
mod tensors;
mod verification;

pub use bundle::{Bundle, DEVICE_FILE, GOLDEN_FILE, Golden, MANIFEST_FILE, WEIGHTS_FILE};
pub use cnn::{Activation, Cnn, Features, Image, Layer, LayerShape, Logits, Pooling};
pub use document::{Cost, FORMAT};
pub use error::BundleError;
pub use manifest::{
    Colour, Generator, Manifest, PixelValue, Preprocessing, Rejection, Resize, SupportImage,
};
pub use quantize::Precision;
pub use verification::{TOLERANCE, Verification};
