//! What can be wrong with a device file, or with the memory that a caller hands over.

use core::fmt;

/// An error of reading or running a device file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The first bytes are not those of a device file.
    NotADeviceFile,
    /// A version that this crate does not know.
    Version {
        /// The version that the file states.
        found: u16,
    },
    /// The file ends early.
    Truncated {
        /// The byte at which more was expected.
        at: usize,
    },
    /// The file is not as long as it states.
    Length {
        /// Bytes that the header states, or that the parts add up to.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// A value outside its range.
    Value {
        /// The field.
        field: &'static str,
        /// Where it stands, in bytes.
        at: usize,
    },
    /// A weight that is infinite or not a number.
    NotFinite {
        /// Where it stands, in bytes.
        at: usize,
    },
    /// A layer whose input is smaller than its kernel or its pooling window.
    Geometry {
        /// Layer number, counted from 1.
        layer: usize,
    },
    /// More memory or more work than this crate allows.
    TooLarge {
        /// What there is too much of.
        what: &'static str,
    },
    /// A slice of the wrong length.
    SliceLength {
        /// The argument.
        argument: &'static str,
        /// Values that are needed.
        expected: usize,
        /// Values that there are.
        found: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotADeviceFile => write!(f, "not a device file: expected it to start with HTCNN"),
            Self::Version { found } => write!(
                f,
                "device file of version {found}, expected at most {}: a newer one needs a newer ht-runtime",
                crate::VERSION
            ),
            Self::Truncated { at } => write!(f, "the device file ends at byte {at}, too early"),
            Self::Length { expected, found } => {
                write!(f, "device file of {found} bytes, expected {expected}")
            }
            Self::Value { field, at } => {
                write!(f, "{field} at byte {at} is outside its range")
            }
            Self::NotFinite { at } => write!(f, "the number at byte {at} is not finite"),
            Self::Geometry { layer } => write!(
                f,
                "layer {layer}: its input is smaller than its kernel or its pooling window"
            ),
            Self::TooLarge { what } => write!(f, "too large: {what}"),
            Self::SliceLength {
                argument,
                expected,
                found,
            } => write!(f, "{argument} of {found} values, expected {expected}"),
        }
    }
}

impl core::error::Error for Error {}
