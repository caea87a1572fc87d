//! Files as checkpoints and bundles need them: written so that they are there whole or not at all,
//! read up to a limit since they may come from a stranger, and known by their SHA-256.
//!
//! It knows nothing of episodes or networks, and stands below everything that writes.

pub mod bounded;
mod digest;
pub mod durable;
mod error;
mod lock;

pub use digest::{Sha256Sum, sha256};
pub use error::{FileError, clipped};
pub use lock::FolderLock;
