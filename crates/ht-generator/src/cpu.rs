//! The parts of a transformer block for CPU tensors, each with its norm and its residual in one
//! operation.
//!
//! In ordinary tensor operations a block is some fifty small passes, and as many again on the
//! way back, each with a tensor of its own: at 30 tokens of 100 columns they cost more than
//! the matrix products. Here the products add to what is there already (a bias, the residual
//! connection), and what lies between them is done in place, a row at a time.
//!
//! ```text
//! operation       Burn's view: tensors in, tensor out, the way back registered
//!   residual      norm and residual around a part, in both norm orders
//!     attention   self-attention        feed_forward   two dense layers
//!       products  matrix products, dense layers        rows   passes over rows
//! ```
//!
//! Other devices, other precisions and what is rare (dropout, sigmoid attention, GELU,
//! cross-attention, a traced pass) take the definition in `transformer.rs`; a property test
//! holds one against the other.

mod attention;
mod feed_forward;
mod operation;
mod products;
mod residual;
mod rows;

pub(crate) use operation::{PartKind, encoder_part};

#[cfg(test)]
mod tests;
