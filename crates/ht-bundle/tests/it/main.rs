//! Bundles: their folder, and each format made from them against the golden logits.

mod definition;
mod folder;
mod sample;
