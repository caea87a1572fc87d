//! Runs a small CNN whose weights are values, for E episodes with E different weight sets
//! in one call.
//!
//! The crate owns no parameter and draws no random number: a [`GeneratedCnn`] is fully
//! determined by its fields. Where the weights come from (a transformer, a file, a test)
//! is not its concern.
//!
//! ```text
//! CnnConfig ─> CnnSpec ─> SliceLayout ─> LayerWeights::sum ───────> conv_layer ─> GeneratedCnn.forward
//!              geometry   G and L      [E,G,L] -> [E,O,I,F,F]       Activations    [E,Q,C,H,W] -> [E,Q,N]
//! ```
//!
//! # Example: two episodes, two weight sets, one call
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use ht_cnn::{CnnConfig, CnnSpec, Geometry, GeneratedCnn, LayerWeights, LogitsWeights};
//!
//! let image = Geometry { channels: 1, height: 4, width: 4 };
//! let config = CnnConfig { depth: 1, channels: 1, ..CnnConfig::default() };
//! let spec = CnnSpec::new(&config, image, 2).expect("4 x 4 pixels carry one layer");
//! let device = Device::flex();
//! let ones = |shape: [usize; 2]| Tensor::<2>::ones(shape, &device);
//! let kernel = Tensor::<5>::ones([2, 1, 1, 3, 3], &device);
//! let layer = LayerWeights { kernel, bias: None, scale: ones([2, 1]), shift: ones([2, 1]) * 0.0 };
//! // Episode 0 adds the four features up, episode 1 subtracts them.
//! let sign = Tensor::<3>::from_data([[[1.0], [0.0]], [[-1.0], [0.0]]], &device);
//! let logits = LogitsWeights {
//!     kernel: sign.expand([2, 2, 4]),
//!     bias: Tensor::from_data([[0.0, 0.5], [0.0, 0.5]], &device),
//! };
//! let cnn = GeneratedCnn { spec, layers: vec![layer], logits, statistics: None, absent: None };
//!
//! let images = Tensor::<5>::ones([2, 3, 1, 4, 4], &device);
//! let logits = cnn.forward(images);
//! assert_eq!(logits.dims(), [2, 3, 2]);
//! // All pixels are alike, so batch normalisation leaves zeros and only the bias speaks.
//! logits.to_data().assert_approx_eq::<f32>(
//!     &burn::tensor::TensorData::from([[[0.0f32, 0.5]; 3]; 2]),
//!     burn::tensor::Tolerance::absolute(1e-2),
//! );
//! ```

mod activations;
mod allocation;
mod class_means;
mod convolution;
#[cfg(feature = "flex")]
mod cpu;
mod error;
mod generated;
mod geometry;
mod layer;
mod logits;
mod normalization;
mod ordinary;
mod prior;
mod spec;
mod support;
mod weights;

pub use activations::Activations;
pub use allocation::{SliceGrid, SliceLayout, WeightAllocation};
pub use convolution::{BATCH_NORM_EPSILON, Convolution, convolve};
pub use error::CnnError;
pub use generated::{ABSENT_LOGIT, GeneratedCnn};
pub use geometry::Geometry;
pub use layer::{Normalization, conv_layer};
pub use logits::{flatten_features, logits};
pub use normalization::BatchStatistics;
pub use prior::PriorStatistics;
pub use spec::{Activation, CnnConfig, CnnSpec, ConvSpec, Features, Padding, Pooling};
pub use support::{NormStatistics, SupportPass};
pub use weights::{LayerWeights, LogitsWeights, PartialWeights};
