//! The layer operation for CPU tensors, as loops that keep their sums in registers.
//!
//! Images stand last in every tensor, so a row of pixels times all images is one contiguous
//! run: moving the kernel one pixel is a shift, and the vector loop needs no gathering. Per
//! call there is one pass over the rows, in chunks that fit a cache; activation and pooling
//! happen while a row is there. The instruction set is chosen at run time (AVX-512, AVX2 with
//! FMA, NEON, or plain code) by `pulp`, so there is no `unsafe` here.
//!
//! ```text
//! operation   Burn's view: tensors in, tensor out, the way back registered
//!   forward   convolution, bias, pooling, activation      norm      batch normalisation
//!   backward  gradients of images, kernel and bias
//!     rows    padded rows of images, phases of a stride
//!     spread  padded rows of gradients
//!     tiles   the inner loops
//! ```
//!
//! One call runs on one thread: independent micro-batches are the parallel work
//! (docs/performance.md).

#![expect(
    clippy::inline_always,
    reason = "a vector instruction set reaches only what is inlined into its entry"
)]

mod backward;
mod forward;
mod norm;
mod operation;
mod rows;
mod shape;
mod spread;
mod tiles;

pub(crate) use operation::{layer, serves};

#[cfg(test)]
mod tests;
