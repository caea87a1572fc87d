//! What the HyperTransformer is compared with: methods that must fit the knowledge about all
//! tasks into the small CNN itself.
//!
//! Every one of them ends as the generator does, with the weights of one CNN per episode
//! ([`ht_cnn::GeneratedCnn`]), and so is trained, stored, evaluated and exported by the same code
//! on the same episodes:
//!
//! ```text
//! Baseline::adapt(SupportSet) ─> GeneratedCnn
//!     proto_net   learned convolutions; a class's row of the logits layer is its mean
//!     maml        all weights, after some gradient steps on the support set (first order)
//!     anil        learned convolutions; the logits layer after some gradient steps
//!     fine_tune   convolutions learned on all training classes; a logits layer fitted from zero
//! ```
//!
//! Pixel nearest neighbour needs no parameters and no CNN: `ht_train::pixel_nearest_neighbour`.

mod anil;
mod baseline;
mod body;
mod config;
mod fine_tune;
mod head;
mod maml;
mod proto_net;
mod softmax_regression;
mod targets;

pub use baseline::{Baseline, Classified};
pub use config::{BaselineConfig, BaselineError, InnerSteps};

#[cfg(test)]
mod tests;
