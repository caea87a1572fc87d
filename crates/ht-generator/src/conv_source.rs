//! Where a convolution layer's weights come from: a transformer, plain parameters, or both added up.
//!
//! Where learned tensors are the base, a learned product, 0 at first, makes of each slice what is added.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use ht_cnn::{Activations, ConvSpec, LayerWeights, PartialWeights, PriorStatistics, SliceLayout};

use crate::{
    ConvolutionBase, EncodedLayer, GeneratorConfig, LayerGenerator, LearnedTensors, NormPrior,
    NormWeights, ParameterInit, PartCost, Pass, Samples,
};

/// The tensors of a convolution layer that are parameters, shared by all episodes.
#[derive(Module, Debug)]
pub struct ConvParameters {
    /// `[O, I, F, F]`.
    kernel: Option<Param<Tensor<4>>>,
    /// `[O]`.
    bias: Option<Param<Tensor<1>>>,
    /// `[O]`.
    scale: Option<Param<Tensor<1>>>,
    /// `[O]`.
    shift: Option<Param<Tensor<1>>>,
}

impl ConvParameters {
    /// The kernel (and bias) of a layer, its scale and shift, or only some of them.
    pub fn new(
        has_kernel: bool,
        has_norm: bool,
        spec: &ConvSpec,
        init: &mut ParameterInit,
    ) -> Self {
        let (o, i, f) = (spec.output.channels, spec.input.channels, spec.kernel);
        Self {
            kernel: has_kernel.then(|| init.glorot([o, i, f, f], f * f * i, f * f * o)),
            bias: (has_kernel && spec.bias).then(|| init.constant([o], 0.0)),
            scale: has_norm.then(|| init.constant([o], 1.0)),
            shift: has_norm.then(|| init.constant([o], 0.0)),
        }
    }

    /// These tensors, for one episode or for all.
    pub fn weights(&self) -> PartialWeights {
        let vector =
            |param: &Option<Param<Tensor<1>>>| param.as_ref().map(|param| param.val().unsqueeze());
        PartialWeights {
            kernel: self.kernel.as_ref().map(|kernel| kernel.val().unsqueeze()),
            bias: vector(&self.bias),
            scale: vector(&self.scale),
            shift: vector(&self.shift),
        }
    }

    /// The same with tensors of one episode added, or in the place of missing ones.
    #[must_use]
    fn plus(self, weights: &PartialWeights) -> Self {
        let sum = PartialWeights::plus(self.weights(), weights.clone());
        // Detached: what a training graph has made cannot be a parameter.
        let parameter = |x: Tensor<2>| Param::from_tensor(x.squeeze_dim(0).detach());
        let kernel = |x: Tensor<5>| Param::from_tensor(x.squeeze_dim(0).detach());
        Self {
            kernel: sum.kernel.map(kernel),
            bias: sum.bias.map(parameter),
            scale: sum.scale.map(parameter),
            shift: sum.shift.map(parameter),
        }
    }
}

/// What one convolution layer is made of, for E episodes.
#[derive(Clone, Debug)]
pub struct ConvParts {
    /// From the transformer.
    pub generated: PartialWeights,
    /// Parameters of the support pass.
    pub learned: PartialWeights,
    /// Parameters of the query pass, where each pass has its own.
    pub query_learned: Option<PartialWeights>,
}

impl ConvParts {
    /// The weights that the support images see.
    pub fn support_weights(&self, n_episodes: usize) -> LayerWeights {
        LayerWeights::sum(&self.generated, &self.learned, n_episodes)
    }

    /// The weights that the query images see, where they differ from the support pass's.
    pub fn query_weights(&self, n_episodes: usize) -> Option<LayerWeights> {
        let learned = self.query_learned.as_ref()?;
        Some(LayerWeights::sum(&self.generated, learned, n_episodes))
    }
}

/// The source of one convolution layer.
#[derive(Module, Debug)]
pub struct ConvSource {
    generator: Option<LayerGenerator>,
    /// `[L, L]`: makes of a slice what is added, where learned tensors are the base.
    mixing: Option<Param<Tensor<2>>>,
    learned: ConvParameters,
    /// Only where each pass has its own.
    query_learned: Option<ConvParameters>,
    /// Only where learned statistics count with those of the support images.
    prior: Option<NormPrior>,
    #[module(skip)]
    layout: SliceLayout,
}

impl ConvSource {
    /// The source of one layer of a CNN.
    pub(crate) fn new(
        config: &GeneratorConfig,
        ways: usize,
        spec: &ConvSpec,
        is_learned: bool,
        init: &mut ParameterInit,
    ) -> Self {
        let norm_generated = config.norm_weights == NormWeights::Generated && !is_learned;
        let layout = SliceLayout {
            allocation: config.allocation,
            norm: norm_generated,
        };
        let len = layout.grid(spec).len;
        let generator = (!is_learned).then(|| {
            let layer = EncodedLayer::Convolution {
                kernel: spec.kernel,
                outputs: spec.output.channels,
            };
            LayerGenerator::new(config, ways, spec.input, layout.grid(spec), layer, init)
        });
        let is_mixed = config.convolution_base == ConvolutionBase::Learned && !is_learned;
        let has_base = is_mixed || config.added_weights;
        let has_kernel = is_learned || has_base;
        let has_norm = !norm_generated || has_base;
        Self {
            generator,
            mixing: is_mixed.then(|| init.constant([len, len], 0.0)),
            learned: ConvParameters::new(has_kernel, has_norm, spec, init),
            query_learned: (config.learned_tensors == LearnedTensors::PerPass)
                .then(|| ConvParameters::new(has_kernel, has_norm, spec, init)),
            prior: config
                .norm_prior
                .then(|| NormPrior::new(spec.output.channels, init)),
            layout,
        }
    }

    /// The generator of the layer, if it is generated.
    pub fn generator(&self) -> Option<&LayerGenerator> {
        self.generator.as_ref()
    }

    /// Multiply-adds of what makes of the slices what is added.
    pub(crate) fn mixing_cost(&self) -> PartCost {
        let slices = self
            .generator
            .as_ref()
            .map(|generator| generator.grid().slices);
        let slices = slices.filter(|_| self.mixing.is_some());
        slices.map_or_else(PartCost::default, |slices| {
            PartCost::inner(slices.count * slices.len * slices.len)
        })
    }

    /// The same layer with given weights of one episode where it has a generator, shared by all.
    #[must_use]
    pub(crate) fn with_shared(self, generated: &PartialWeights) -> Self {
        Self {
            generator: None,
            mixing: None,
            learned: self.learned.plus(generated),
            query_learned: self.query_learned.map(|own| own.plus(generated)),
            ..self
        }
    }

    /// What is known about the statistics of this layer's images under these weights.
    pub(crate) fn prior(&self, weights: &LayerWeights) -> Option<PriorStatistics> {
        let prior = self.prior.as_ref()?;
        Some(prior.statistics(&weights.kernel))
    }

    /// The parts of this layer for the episodes of `samples`.
    pub(crate) fn parts(
        &self,
        activations: &Activations,
        samples: &Samples<'_>,
        spec: &ConvSpec,
        pass: &mut Pass,
    ) -> ConvParts {
        let generated = self.generator.as_ref().map(|generator| {
            let slices = generator.slices(activations.clone(), samples, pass);
            let slices = match &self.mixing {
                None => slices,
                Some(mixing) => slices.matmul(mixing.val().unsqueeze()),
            };
            PartialWeights::from_slices(&slices, self.layout, spec)
        });
        ConvParts {
            generated: generated.unwrap_or_default(),
            learned: self.learned.weights(),
            query_learned: self.query_learned.as_ref().map(ConvParameters::weights),
        }
    }
}
