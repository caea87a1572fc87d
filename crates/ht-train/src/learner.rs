//! What is trained: the generator of the paper or a method it is compared with. Both turn a
//! support set into one CNN per episode, and all else here is the same for both.

use burn::module::Module;
use ht_baselines::{Baseline, BaselineConfig};
use ht_cnn::{CnnSpec, GeneratedCnn, NormStatistics};
use ht_episodes::SupportSet;
use ht_generator::{GeneratorConfig, WeightGenerator};

/// A method with its parameters.
#[expect(
    clippy::large_enum_variant,
    reason = "a run has one of them, and modules are not boxed"
)]
#[derive(Module, Debug)]
pub enum Learner {
    /// The HyperTransformer.
    Generator(WeightGenerator),
    /// Another method on the same CNN.
    Baseline(Baseline),
}

impl Learner {
    /// Shape of the CNNs.
    pub fn spec(&self) -> &CnnSpec {
        match self {
            Self::Generator(generator) => generator.spec(),
            Self::Baseline(baseline) => baseline.spec(),
        }
    }

    /// Whose statistics the query pass takes from now on.
    pub fn set_norm_statistics(&mut self, statistics: NormStatistics) {
        match self {
            Self::Generator(generator) => generator.set_norm_statistics(statistics),
            Self::Baseline(baseline) => baseline.set_norm_statistics(statistics),
        }
    }

    /// The weights of one CNN per episode.
    ///
    /// # Shapes
    /// - `support.images`: `[E, S, C, H, W]`; `support.labels`: `[E, S]`, 0..=N
    pub fn adapt(&self, support: &SupportSet) -> GeneratedCnn {
        match self {
            Self::Generator(generator) => generator.generate(support),
            Self::Baseline(baseline) => baseline.adapt(support),
        }
    }
}

/// The method of an experiment as it was written.
#[derive(Clone, Copy, Debug)]
pub enum Method<'a> {
    /// The section `generator`.
    Generator(&'a GeneratorConfig),
    /// The section `baseline`.
    Baseline(&'a BaselineConfig),
}

impl Method<'_> {
    /// Its name in every output.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Generator(_) => "hypertransformer",
            Self::Baseline(baseline) => baseline.name(),
        }
    }
}
