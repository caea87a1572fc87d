//! What an episode costs at least: multiply-adds by part, counted from the sizes.
//!
//! Divided by the rate of matrix products this is the floor that docs/performance.md compares
//! with. The way back of a layer costs twice the way forward, once for its weights and once for
//! its input; where the input is an image, it needs no gradient.

use std::iter::Sum;
use std::ops::Add;

use ht_cnn::{CnnSpec, Geometry};

/// Multiply-adds of one part of an episode; each is two floating-point operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartCost {
    /// To get its result.
    pub forward: usize,
    /// To get its gradients.
    pub backward: usize,
}

impl PartCost {
    /// A part with weights and an input that needs a gradient.
    pub(crate) fn inner(forward: usize) -> Self {
        Self::layer(forward, false)
    }

    /// The same, or a layer whose input is an image.
    pub(crate) fn layer(forward: usize, on_images: bool) -> Self {
        let backward = if on_images { forward } else { 2 * forward };
        Self { forward, backward }
    }

    /// Floating-point operations of both ways.
    pub fn flop(&self) -> f64 {
        2.0 * (self.forward + self.backward) as f64
    }
}

impl Add for PartCost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            forward: self.forward + other.forward,
            backward: self.backward + other.backward,
        }
    }
}

impl Sum for PartCost {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

/// The parts of one episode: generating a CNN, and classifying query images with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpisodeCost {
    /// The encoder of the support images.
    pub image_encoder: PartCost,
    /// The encoders of each generated layer's input.
    pub activation_encoders: PartCost,
    /// The transformers of all generated layers.
    pub transformers: PartCost,
    /// The CNN's layers on the support images.
    pub support_layers: PartCost,
    /// The CNN on the query images.
    pub query_layers: PartCost,
}

impl EpisodeCost {
    /// The parts with their names, in the order of the data.
    pub fn parts(&self) -> [(&'static str, PartCost); 5] {
        [
            ("image encoder", self.image_encoder),
            ("activation encoders", self.activation_encoders),
            ("transformers", self.transformers),
            ("CNN on support images", self.support_layers),
            ("CNN on query images", self.query_layers),
        ]
    }

    /// All parts.
    pub fn total(&self) -> PartCost {
        self.parts().into_iter().map(|(_, part)| part).sum()
    }
}

/// A convolution without bias on `n` images: kernel values times pixels of its result.
pub(crate) fn convolution(kernel_len: usize, [height, width]: [usize; 2], n: usize) -> usize {
    kernel_len * height * width * n
}

/// The CNN's convolution layers on `n` images.
pub(crate) fn cnn_layers(spec: &CnnSpec, n: usize) -> PartCost {
    let layers = spec.layers.iter().enumerate();
    layers
        .map(|(l, layer)| {
            let Geometry { height, width, .. } = layer.convolved;
            let forward = convolution(layer.kernel_len(), [height, width], n);
            PartCost::layer(forward, l == 0)
        })
        .sum()
}
