//! Where the logits layer's weights come from: always a transformer, and what its slices are
//! added to.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use ht_cnn::{Activations, CnnSpec, Features, LogitsWeights, flatten_features};

use crate::{
    GeneratorConfig, LayerGenerator, LearnedTensors, LogitsBase, ParameterInit, Pass, Samples,
};

/// The tensors of the logits layer that are added to the generated ones.
#[derive(Module, Debug)]
pub struct LogitsParameters {
    /// `[N, P]`.
    kernel: Param<Tensor<2>>,
    /// `[N]`.
    bias: Param<Tensor<1>>,
}

impl LogitsParameters {
    fn new(ways: usize, n_features: usize, init: &mut ParameterInit) -> Self {
        Self {
            kernel: init.glorot([ways, n_features], n_features, ways),
            bias: init.constant([ways], 0.0),
        }
    }

    fn added_to(&self, weights: LogitsWeights) -> LogitsWeights {
        weights.plus(self.kernel.val().unsqueeze(), self.bias.val().unsqueeze())
    }
}

/// The source of the logits layer, which is always generated.
#[derive(Module, Debug)]
pub struct LogitsSource {
    generator: LayerGenerator,
    /// `[1]`: how much of what is generated is added to the class means, where they are the base.
    gain: Option<Param<Tensor<1>>>,
    added: Option<LogitsParameters>,
    /// Only where each pass has its own.
    query_added: Option<LogitsParameters>,
    #[module(skip)]
    features: Features,
}

impl LogitsSource {
    /// The source of the logits layer of CNNs of a given shape.
    pub(crate) fn new(
        config: &GeneratorConfig,
        generator: LayerGenerator,
        spec: &CnnSpec,
        init: &mut ParameterInit,
    ) -> Self {
        let is_own = config.learned_tensors == LearnedTensors::PerPass;
        let gain = match config.logits_base {
            LogitsBase::None => None,
            LogitsBase::ClassMeans => Some(init.constant([1], 0.0)),
        };
        let (ways, n_features) = (spec.ways, spec.n_features());
        let mut added =
            |is_there: bool| is_there.then(|| LogitsParameters::new(ways, n_features, init));
        Self {
            generator,
            gain,
            added: added(config.added_weights),
            query_added: added(config.added_weights && is_own),
            features: spec.features,
        }
    }

    /// The generator of the layer.
    pub fn generator(&self) -> &LayerGenerator {
        &self.generator
    }

    /// How much of what is generated is added to the class means, where they are the base.
    pub(crate) fn gain(&self) -> Option<f32> {
        let gain = self.gain.as_ref()?;
        Some(gain.val().into_scalar())
    }

    /// The same with nothing added to the class means, where they are the base.
    pub(crate) fn with_class_means_alone(self) -> Option<Self> {
        let gain = self.gain?.map(|gain| gain.zeros_like());
        Some(Self {
            gain: Some(gain),
            ..self
        })
    }

    /// The weights of the support pass and those of the query pass.
    pub(crate) fn weights(
        &self,
        activations: &Activations,
        samples: &Samples<'_>,
        pass: &mut Pass,
    ) -> [LogitsWeights; 2] {
        let slices = self.generator.slices(activations.clone(), samples, pass);
        let [_, ways, len] = slices.dims();
        let generated = LogitsWeights::from_slices(slices, len - 1);
        let generated = match &self.gain {
            None => generated,
            Some(gain) => {
                let features = flatten_features(activations.clone(), self.features);
                let one_hot = samples.support.one_hot(ways);
                let means = LogitsWeights::of_class_means(&features, &one_hot);
                generated.times(gain.val()).plus(means.kernel, means.bias)
            }
        };
        let support = match &self.added {
            Some(added) => added.added_to(generated.clone()),
            None => generated.clone(),
        };
        let query = match &self.query_added {
            Some(added) => added.added_to(generated),
            None => support.clone(),
        };
        [support, query]
    }
}
