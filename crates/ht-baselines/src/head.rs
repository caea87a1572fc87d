//! The logits layer as plain parameters, shared by all episodes: where MAML and ANIL start, and what
//! tells the training classes apart.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use ht_cnn::{CnnSpec, LogitsWeights};
use ht_generator::ParameterInit;

/// A logits layer that all episodes share.
#[derive(Module, Debug)]
pub(crate) struct Head {
    /// `[rows, P]`.
    kernel: Param<Tensor<2>>,
    /// `[rows]`.
    bias: Param<Tensor<1>>,
}

impl Head {
    /// `rows` classes over the features of a body.
    pub(crate) fn new(spec: &CnnSpec, rows: usize, seed: u64, device: &Device) -> Self {
        let mut init = ParameterInit::new(seed, spec.layers.len() as u64 + 1, device);
        let n_features = spec.n_features();
        Self {
            kernel: init.glorot([rows, n_features], n_features, rows),
            bias: init.constant([rows], 0.0),
        }
    }

    /// The same weights for E episodes.
    pub(crate) fn weights(&self, n_episodes: usize) -> LogitsWeights {
        let [rows, n_features] = self.kernel.dims();
        let kernel = self.kernel.val().unsqueeze::<3>();
        let bias = self.bias.val().unsqueeze::<2>();
        LogitsWeights {
            kernel: kernel.expand([n_episodes, rows, n_features]),
            bias: bias.expand([n_episodes, rows]),
        }
    }
}
