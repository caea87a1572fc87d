//! MAML (Finn, Abbeel & Levine, 2017): all weights, after some gradient steps on the support set
//! from a learned start.
//!
//! First order: the steps are taken as given when the query loss is differentiated, so that the
//! gradient at the adapted weights is that of the start. Burn's autodiff cannot be nested
//! (`Tensor::autodiff` of such a tensor is the tensor itself), so second derivatives through the
//! convolutions are out of reach; ANIL (`anil.rs`) has those of the logits layer.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Gradients, Tensor};
use ht_cnn::{CnnSpec, GeneratedCnn, LayerWeights, LogitsWeights, logits};
use ht_episodes::SupportSet;

use crate::InnerSteps;
use crate::body::{Body, SeenSupport, support_pass};
use crate::head::Head;
use crate::targets::Targets;

/// A learned start of the logits layer; that of the convolutions is the body.
#[derive(Module, Debug)]
pub(crate) struct Maml {
    start: Head,
    #[module(skip)]
    inner: InnerSteps,
}

/// All weights of the CNNs of E episodes.
#[derive(Clone, Debug)]
struct Weights {
    layers: Vec<LayerWeights>,
    logits: LogitsWeights,
}

/// What is made of two tensors of the same place, whatever their rank.
trait Combine {
    fn of<const D: usize>(&self, own: &Tensor<D>, other: &Tensor<D>) -> Tensor<D>;
}

impl Maml {
    pub(crate) fn new(inner: InnerSteps, spec: &CnnSpec, seed: u64, device: &Device) -> Self {
        Self {
            start: Head::new(spec, spec.ways, seed, device),
            inner,
        }
    }

    /// One CNN per episode.
    pub(crate) fn adapt(&self, body: &Body, support: &SupportSet) -> GeneratedCnn {
        let [n_episodes, _] = support.labels.dims();
        let spec = body.spec();
        let start = Weights {
            layers: body.weights(n_episodes),
            logits: self.start.weights(n_episodes),
        };
        let weights = start.zip(&self.descend(spec, &start, support), &AdaptedByGiven);
        let SeenSupport { statistics, .. } = support_pass(spec, &weights.layers, support);
        GeneratedCnn {
            spec: spec.clone(),
            layers: weights.layers,
            logits: weights.logits,
            statistics,
            absent: support.absent.clone(),
        }
    }

    /// Gradient steps on the mean cross-entropy of each episode's labelled support samples, in a
    /// graph of their own.
    fn descend(&self, spec: &CnnSpec, start: &Weights, support: &SupportSet) -> Weights {
        let support = SupportSet {
            images: support.images.clone().inner(),
            labels: support.labels.clone().inner(),
            hidden: support.hidden.clone().map(Tensor::inner),
            absent: support.absent.clone().map(Tensor::inner),
        };
        let targets = Targets::of(&support, spec.ways);
        let counted = targets.one_hot.clone() * targets.shares();
        (0..self.inner.steps).fold(start.clone(), |weights, _| {
            let leaves = weights.zip(&weights, &Leaf);
            let seen = support_pass(spec, &leaves.layers, &support);
            let scores = targets.without_absent(logits(seen.features, &leaves.logits));
            // Summed over the episodes, so that each one's gradient is its own.
            let loss = (log_softmax(scores, 2) * counted.clone()).sum().neg();
            let step = Descend {
                gradients: loss.backward(),
                rate: self.inner.rate,
            };
            leaves.zip(&leaves, &step)
        })
    }
}

/// A new leaf of a graph.
struct Leaf;

impl Combine for Leaf {
    fn of<const D: usize>(&self, own: &Tensor<D>, _: &Tensor<D>) -> Tensor<D> {
        own.clone().inner().autodiff().require_grad()
    }
}

/// A leaf's value after a step.
struct Descend {
    gradients: Gradients,
    rate: f64,
}

impl Combine for Descend {
    fn of<const D: usize>(&self, own: &Tensor<D>, _: &Tensor<D>) -> Tensor<D> {
        let value = own.clone().inner();
        match own.grad(&self.gradients) {
            Some(gradient) => value - gradient * self.rate,
            None => value,
        }
    }
}

/// The start moved to the adapted value by a constant: first order.
struct AdaptedByGiven;

impl Combine for AdaptedByGiven {
    fn of<const D: usize>(&self, own: &Tensor<D>, other: &Tensor<D>) -> Tensor<D> {
        own.clone() + (other.clone() - own.clone().inner())
    }
}

impl Weights {
    fn zip(&self, other: &Self, how: &impl Combine) -> Self {
        let layers = self.layers.iter().zip(&other.layers);
        Self {
            layers: layers
                .map(|(own, other)| LayerWeights {
                    kernel: how.of(&own.kernel, &other.kernel),
                    bias: (own.bias.as_ref().zip(other.bias.as_ref()))
                        .map(|(own, other)| how.of(own, other)),
                    scale: how.of(&own.scale, &other.scale),
                    shift: how.of(&own.shift, &other.shift),
                })
                .collect(),
            logits: LogitsWeights {
                kernel: how.of(&self.logits.kernel, &other.logits.kernel),
                bias: how.of(&self.logits.bias, &other.logits.bias),
            },
        }
    }
}
