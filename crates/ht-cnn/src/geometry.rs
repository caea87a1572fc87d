//! The shape of an image, and how large a layer's may be.

use serde::{Deserialize, Serialize};

use crate::CnnError;

/// C, H, W of an image or of activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// C.
    pub channels: usize,
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
}

/// Values of one image that a layer may have: 256 MiB of float32. A batch has many images.
const MOST_VALUES: usize = 1 << 26;

impl Geometry {
    /// The same, if a layer may have it.
    pub(crate) fn bounded(self, layer: usize) -> Result<Self, CnnError> {
        let n_values = self.channels * self.height * self.width;
        if n_values <= MOST_VALUES {
            return Ok(self);
        }
        let most = MOST_VALUES;
        Err(CnnError::TooLarge {
            layer,
            n_values,
            most,
        })
    }
}
