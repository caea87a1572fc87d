//! The one thing that can be wrong with a CNN before it runs: its geometry.

/// A CNN that cannot be built for the given images.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CnnError {
    /// A layer whose input is too small for its kernel or its pooling.
    #[error(
        "layer {layer} cannot be built: its {part} needs at least {needed} x {needed} pixels, \
         but gets {height} x {width}; lower cnn.depth, cnn.kernel or cnn.stride, or use larger images"
    )]
    TooSmall {
        /// Layer number, counted from 1.
        layer: usize,
        /// `kernel` or `pooling`.
        part: &'static str,
        /// Smallest possible side.
        needed: usize,
        /// Height it gets.
        height: usize,
        /// Width it gets.
        width: usize,
    },
    /// A size that must be positive.
    #[error("{key} is 0, expected at least 1")]
    Zero {
        /// The configuration key.
        key: &'static str,
    },
}
