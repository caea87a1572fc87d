//! Where a convolution layer's weights come from: a transformer, or plain parameters.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use ht_cnn::{ConvSpec, LayerWeights, WeightAllocation};

use crate::activation_encoder::EncodedLayer;
use crate::{GeneratorConfig, LayerGenerator, ParameterInit};

/// A kernel that is a parameter, shared by all episodes.
#[derive(Module, Debug)]
pub struct LearnedKernel {
    /// `[O, I, F, F]`.
    kernel: Param<Tensor<4>>,
}

/// The source of a kernel.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a model holds a handful of them, and a module cannot be boxed"
)]
pub enum WeightSource {
    /// Written by a transformer for each episode.
    Generated(LayerGenerator),
    /// Learned.
    Learned(LearnedKernel),
}

/// The source of one convolution layer: its kernel, and the learned scale and shift of its
/// batch normalisation (paper, section 5.1: these are not generated).
#[derive(Module, Debug)]
pub struct ConvSource {
    kernel: WeightSource,
    /// `[O]`.
    scale: Param<Tensor<1>>,
    /// `[O]`.
    shift: Param<Tensor<1>>,
    #[module(skip)]
    allocation: WeightAllocation,
}

impl ConvSource {
    /// The source of layer `layer` (from 0) of a CNN.
    pub(crate) fn new(
        config: &GeneratorConfig,
        ways: usize,
        spec: &ConvSpec,
        is_learned: bool,
        init: &mut ParameterInit,
    ) -> Self {
        let (o, i, f) = (spec.output.channels, spec.input.channels, spec.kernel);
        let kernel = if is_learned {
            let kernel = init.glorot([o, i, f, f], f * f * i, f * f * o);
            WeightSource::Learned(LearnedKernel { kernel })
        } else {
            let slices = config.allocation.grid(spec);
            let layer = EncodedLayer::Convolution { kernel: f };
            WeightSource::Generated(LayerGenerator::new(
                config, ways, spec.input, slices, layer, init,
            ))
        };
        Self {
            kernel,
            scale: init.constant([o], 1.0),
            shift: init.constant([o], 0.0),
            allocation: config.allocation,
        }
    }

    /// The generator of the kernel, if it is generated.
    pub fn generator(&self) -> Option<&LayerGenerator> {
        match &self.kernel {
            WeightSource::Generated(generator) => Some(generator),
            WeightSource::Learned(_) => None,
        }
    }

    /// The weights of this layer for E episodes.
    ///
    /// # Shapes
    /// as in [`LayerGenerator::slices`]; `spec` is the layer's
    pub(crate) fn weights(
        &self,
        activations: impl FnOnce() -> Tensor<5>,
        image_features: Option<Tensor<3>>,
        labels: Tensor<2, Int>,
        spec: &ConvSpec,
    ) -> LayerWeights {
        let (scale, shift) = (self.scale.val(), self.shift.val());
        match &self.kernel {
            WeightSource::Generated(generator) => {
                let slices = generator.slices(activations(), image_features, labels);
                LayerWeights::from_slices(slices, self.allocation, spec, scale, shift)
            }
            WeightSource::Learned(learned) => {
                let [n_episodes, _] = labels.dims();
                LayerWeights::shared(learned.kernel.val(), scale, shift, n_episodes)
            }
        }
    }
}
