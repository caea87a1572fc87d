//! What can be wrong with a CNN before it runs: its sizes.

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
    /// A size that is 0, or larger than any CNN's.
    #[error("{key} is {value}, expected 1 to {most}")]
    BadSize {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The largest.
        most: usize,
    },
    /// A layer that makes more values of one image than fit a batch of them.
    #[error(
        "layer {layer} makes {n_values} values of one image, expected at most {most}; \
         lower cnn.channels, raise cnn.stride, or use smaller images"
    )]
    TooLarge {
        /// Layer number, counted from 1; 0 is the image.
        layer: usize,
        /// Its values.
        n_values: usize,
        /// The most.
        most: usize,
    },
}
