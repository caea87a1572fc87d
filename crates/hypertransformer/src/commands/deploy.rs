//! The way from pictures to a network on a device: `generate`, `add-class` and `remove-class` make a
//! bundle, `predict`, `verify` and `export` use one.
//!
//! ```text
//! folder of class folders ─ Task ─┐
//! models/NAME ────────── Factory ─┴─ bundle ─> cnn/ ─ predict, verify, export
//! ```

mod classes;
mod export;
mod factory;
mod generate;
mod leave_one_out;
mod predict;
mod report;
mod task;
mod verify;

pub(crate) use classes::{add_class, remove_class};
pub(crate) use export::export;
pub(crate) use generate::generate;
pub(crate) use predict::predict;
pub(crate) use verify::verify;
