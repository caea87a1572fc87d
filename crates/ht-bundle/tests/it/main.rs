//! Bundles: their folder, and each format made from them against the golden logits.

mod c_header;
mod definition;
mod fixture;
mod folder;
mod hostile;
mod int8;
mod onnx;
mod reading;
mod runtime;
mod sample;
