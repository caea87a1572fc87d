//! What one pass through the generator carries besides its tensors: the random numbers of
//! dropout in training, and a trace for whoever wants to see every intermediate result.
//!
//! Dropout is drawn on the host from a stream of its own, so that a step is the same on
//! every device and with any number of threads.

use std::collections::BTreeMap;
use std::fmt::Arguments;

use burn::tensor::{Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Intermediate results by name, for example `layer_2/block_1/attention`.
pub type Trace = BTreeMap<String, TensorData>;

/// One pass through the generator.
#[derive(Debug, Default)]
pub struct Pass {
    dropout: Option<Box<ChaCha8Rng>>,
    trace: Option<Trace>,
    scope: Vec<String>,
}

impl Pass {
    /// A pass without dropout.
    pub fn evaluation() -> Self {
        Self::default()
    }

    /// A pass with dropout, drawn from `rng`.
    pub fn training(rng: ChaCha8Rng) -> Self {
        Self {
            dropout: Some(Box::new(rng)),
            trace: None,
            scope: Vec::new(),
        }
    }

    /// Keeps every intermediate result from now on; each is copied to the host.
    #[must_use]
    pub fn traced(self) -> Self {
        Self {
            trace: Some(Trace::new()),
            ..self
        }
    }

    /// What was kept.
    pub fn into_trace(self) -> Trace {
        self.trace.unwrap_or_default()
    }

    pub(crate) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Whether a part with this rate of dropout needs nothing of the pass.
    #[cfg(feature = "flex")]
    pub(crate) fn is_plain(&self, dropout: f64) -> bool {
        self.trace.is_none() && (self.dropout.is_none() || dropout == 0.0)
    }

    /// Runs a part whose results are named below `name`; without a trace nothing is named.
    pub(crate) fn within<T>(
        &mut self,
        name: Arguments<'_>,
        part: impl FnOnce(&mut Self) -> T,
    ) -> T {
        if !self.is_traced() {
            return part(self);
        }
        self.scope.push(name.to_string());
        let result = part(self);
        self.scope.pop();
        result
    }

    /// Keeps a result, if anybody wants it.
    pub(crate) fn note<const D: usize>(&mut self, name: &str, tensor: &Tensor<D>) {
        if let Some(trace) = &mut self.trace {
            let path: Vec<&str> = self.scope.iter().map(String::as_str).collect();
            let name = [path.as_slice(), &[name]].concat().join("/");
            trace.insert(name, tensor.to_data());
        }
    }

    /// Sets each value to zero with probability `rate` and scales the others up, in training.
    pub(crate) fn drop<const D: usize>(&mut self, x: Tensor<D>, rate: f64) -> Tensor<D> {
        let Some(rng) = self.dropout.as_mut().filter(|_| rate > 0.0) else {
            return x;
        };
        let shape = x.dims();
        let kept = (1.0 / (1.0 - rate)) as f32;
        let factors: Vec<f32> = (0..shape.iter().product())
            .map(|_| if rng.random_bool(rate) { 0.0 } else { kept })
            .collect();
        let factors = Tensor::from_data(TensorData::new(factors, shape), &x.device());
        x * factors
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use ht_episodes::stream;

    use super::*;

    #[test]
    fn dropout_keeps_the_mean_and_is_off_in_evaluation() {
        let ones = Tensor::<2>::ones([100, 100], &Device::flex());
        let mut pass = Pass::training(stream(1, "dropout", 0, 0));
        let dropped = pass.drop(ones.clone(), 0.25);
        let mean: f32 = dropped.clone().mean().into_scalar();
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        let zeros: f32 = dropped.equal_elem(0.0).float().mean().into_scalar();
        assert!((zeros - 0.25).abs() < 0.03, "{zeros}");
        let untouched = Pass::evaluation().drop(ones.clone(), 0.25);
        untouched.into_data().assert_eq(&ones.into_data(), true);
    }

    #[test]
    fn a_trace_names_results_by_their_place() {
        let one = Tensor::<1>::ones([1], &Device::flex());
        let mut pass = Pass::evaluation().traced();
        pass.within(format_args!("layer_1"), |pass| {
            pass.within(format_args!("block_2"), |pass| pass.note("attention", &one));
            pass.note("slices", &one);
        });
        let names: Vec<_> = pass.into_trace().into_keys().collect();
        assert_eq!(names, ["layer_1/block_2/attention", "layer_1/slices"]);
    }
}
