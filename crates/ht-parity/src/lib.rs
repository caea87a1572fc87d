//! Reads what the released TensorFlow code wrote: recorded steps, which our code must
//! repeat, and checkpoints, which become ours.
//!
//! ```text
//! NAME.json         flags ─> ReleasedFlags ─> CnnConfig, GeneratorConfig, LossConfig
//! NAME.safetensors  variables ─> Variables ─> parameter vector ┐
//!                   episode ─> EpisodeBatch ───────────────────┴> compare ─> Deviations
//! ```
//!
//! Nothing is skipped in silence: a recorded tensor without a counterpart fails its case.

mod case;
mod compare;
mod error;
mod flags;
mod functions;
mod image_operations;
mod import;
mod names;
mod ours;
mod report;
mod roles;
mod schedules;
mod tensors;
mod variables;
mod whole_file;

pub use case::{Case, case_files};
pub use compare::{Deviations, compare};
pub use error::ParityError;
pub use flags::ReleasedFlags;
pub use functions::compare_functions;
pub use import::{Imported, import_checkpoint};
pub use names::variable_roles;
pub use report::{CaseReport, report};
pub use roles::{Layout, Place, place_of};
pub use tensors::{Array, Arrays, read_arrays};
pub use variables::Variables;
