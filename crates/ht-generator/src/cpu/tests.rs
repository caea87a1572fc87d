//! The loops against the definition in ordinary operations: tokens and every gradient.

use std::cell::RefCell;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Device, Gradients, Int, Tensor};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::{
    Architecture, AttentionWeighting, BlockActivation, FeedForwardConfig, LastBlock, NormOrder,
    ParameterInit, Pass, Size, Transformer, TransformerConfig,
};

/// A transformer and the sizes of its tokens.
#[derive(Clone, Debug)]
struct Call {
    config: TransformerConfig,
    shape: [usize; 3],
    /// Tokens of an episode that come out.
    n_wanted: usize,
    masked: bool,
}

fn calls() -> impl Strategy<Value = Call> {
    let sizes = (1..4usize, 1..40usize, 1..5usize, 1..20usize, 1..20usize);
    let wanted = 0.0..=1.0f64;
    let activation = prop_oneof![
        Just(BlockActivation::Relu),
        Just(BlockActivation::LeakyRelu)
    ];
    let last = prop_oneof![Just(LastBlock::Activated), Just(LastBlock::Linear)];
    let feed_forward = proptest::option::of((1..40usize, activation, last));
    let order = prop_oneof![Just(NormOrder::Pre), Just(NormOrder::Post)];
    (
        sizes,
        // Norms of very few columns are ill-conditioned.
        8..40usize,
        1..4usize,
        feed_forward,
        order,
        any::<bool>(),
        wanted,
    )
        .prop_map(
            |(sizes, width, blocks, feed_forward, norm, masked, wanted)| {
                let (e, t, heads, query_key, value) = sizes;
                let config = TransformerConfig {
                    blocks,
                    heads,
                    norm,
                    query_key: Size::Absolute(query_key * heads),
                    value: Size::Absolute(value * heads),
                    attention: AttentionWeighting::Softmax,
                    architecture: Architecture::Encoder,
                    feed_forward: feed_forward.map(|(inner, activation, last_block)| {
                        FeedForwardConfig {
                            inner: Size::Absolute(inner),
                            activation,
                            last_block,
                        }
                    }),
                    dropout: 0.0,
                };
                Call {
                    config,
                    shape: [e, t, width],
                    n_wanted: ((wanted * t as f64) as usize).max(1),
                    masked,
                }
            },
        )
}

/// Values that look random and are the same everywhere.
fn wave<const D: usize>(shape: [usize; D], phase: f32, device: &Device) -> Tensor<D> {
    let n_values = shape.iter().product::<usize>() as i64;
    let ramp = Tensor::<1, Int>::arange(0..n_values, device).float();
    ((ramp * 12.9898 + phase).sin() * 43.7).sin().reshape(shape)
}

/// Moves every parameter, so that no bias is zero and no scale is one.
struct Shaken(f32);

impl ModuleMapper for Shaken {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 0.7;
        param.map(|values| {
            let moved = wave(values.dims(), self.0, &values.device()) * 0.3 + values;
            moved.detach().require_grad()
        })
    }
}

/// The gradient of every parameter.
struct Collected<'a>(&'a Gradients, Vec<Vec<f32>>);

impl ModuleVisitor for Collected<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.0).expect("a gradient");
        self.1.push(gradient.into_data().iter::<f32>().collect());
    }
}

/// Tokens, their gradient and those of the parameters, for a weighted sum of the result.
fn run(call: &Call, pass: &mut Pass) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let [e, t, d] = call.shape;
    let mut init = ParameterInit::new(1, 0, &device);
    let model = Transformer::new(&call.config, d, &mut init).map(&mut Shaken(0.1));
    let tokens = wave(call.shape, 0.2, &device).detach().require_grad();
    let hidden = (0..e * t).map(|k| call.masked && k % 3 == 1 && t > 1);
    let hidden: Vec<bool> = hidden.collect();
    let hidden = burn::tensor::TensorData::new(hidden, [e, t]);
    let hidden = Tensor::<2, Bool>::from_data(hidden, &device);
    let hidden = call.masked.then_some(&hidden);
    let out = model.forward(tokens.clone(), call.n_wanted, hidden, pass);
    let weights = wave(out.dims(), 0.4, &device);
    let gradients = (out.clone() * weights).sum().backward();
    let of_tokens = tokens.grad(&gradients).expect("tracked");
    let mut collected = Collected(&gradients, Vec::new());
    model.visit(&mut collected);
    let mut results: Vec<Vec<f32>> = [out.inner(), of_tokens]
        .map(|tensor| tensor.into_data().iter().collect())
        .into();
    results.extend(collected.1);
    results
}

/// Cases, always the same ones: chance decides in how many of them rounding moves a value over the kink
/// of a ReLU.
const CASES: u32 = 200;
/// Those in which it does, at most.
const MOST_ROUGH: usize = 3;

#[test]
fn the_cpus_loops_compute_the_definition() {
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let furthest = RefCell::new(Vec::new());
    TestRunner::new_with_rng(config, rng)
        .run(&calls(), |call| {
            furthest.borrow_mut().push(apart(&call)?);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let n_rough = furthest.take().into_iter().filter(|&apart| apart > 1e-3);
    let n_rough = n_rough.count();
    assert!(n_rough <= MOST_ROUGH, "{n_rough} cases apart");
}

/// How far the loops are from the definition, relative to the length of a result, where that is furthest.
fn apart(call: &Call) -> Result<f32, TestCaseError> {
    let before = super::operation::calls();
    let ours = run(call, &mut Pass::evaluation());
    // A traced pass takes the definition.
    let definition = run(call, &mut Pass::evaluation().traced());
    prop_assert_eq!(ours.len(), definition.len());
    prop_assert!(
        super::operation::calls() > before,
        "the definition was compared with itself"
    );
    let mut furthest = 0f32;
    for (part, (ours, definition)) in ours.iter().zip(&definition).enumerate() {
        prop_assert_eq!(ours.len(), definition.len());
        let norm =
            |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
        let apart = norm(&mut ours.iter().zip(definition).map(|(a, b)| a - b));
        let size = norm(&mut definition.iter().copied()).max(0.1);
        prop_assert!(
            apart <= 5e-2 * size,
            "part {part}: {apart} apart, of {size}"
        );
        furthest = furthest.max(apart / size);
    }
    Ok(furthest)
}

#[test]
fn the_cpus_loops_are_the_ones_in_use() {
    let device = Device::flex();
    let mut init = ParameterInit::new(1, 0, &device);
    let norm = init.layer_norm(4);
    let layers = [init.linear(4, 6), init.linear(6, 4)];
    let part = super::PartKind::FeedForward {
        layers: layers.each_ref(),
        slope: 0.0,
    };
    let served =
        |tokens: Tensor<3>| super::encoder_part(&tokens, 2, &norm, NormOrder::Pre, &part).is_some();
    assert!(served(Tensor::zeros([1, 2, 4], &device)));
    // Double precision takes the definition.
    assert!(!served(Tensor::zeros(
        [1, 2, 4],
        (&device, burn::tensor::DType::F64)
    )));
}
