//! What the logits layer's generator reads, and what its slices are added to.

use burn::module::{ModuleMapper, Param};
use burn::tensor::{TensorData, Tolerance};
use ht_cnn::LogitsWeights;

use super::*;

/// The CNN of [`spec`] with features averaged over the pixels of a last layer of 3 x 3.
fn averaged() -> CnnSpec {
    let cnn = CnnConfig {
        depth: 3,
        channels: 4,
        features: Features::Mean,
        ..CnnConfig::default()
    };
    CnnSpec::new(&cnn, spec().image, 5).expect("fits")
}

/// A generator of the logits layer alone.
fn of_logits(base: LogitsBase) -> GeneratorConfig {
    GeneratorConfig {
        learned_layers: LearnedLayers::First(3),
        logits_base: base,
        logits_features: LogitsFeatures::Flattened,
        image_encoder: None,
        activation_encoder: None,
        ..config()
    }
}

fn traced(generator: &WeightGenerator, support: &SupportSet) -> (LogitsWeights, Trace) {
    let mut pass = Pass::evaluation().traced();
    let weights = generator.generate_in(support, &mut pass).cnn.logits;
    (weights, pass.into_trace())
}

fn assert_close(ours: &TensorData, expected: &TensorData) {
    ours.assert_approx_eq::<f32>(expected, Tolerance::absolute(1e-4));
}

/// Weights of means multiply means: pixels in their place would tell a generator nothing.
#[test]
fn the_input_of_the_logits_layer_stands_in_tokens_as_the_layer_reads_it() {
    let device = Device::flex();
    let config = of_logits(LogitsBase::None);
    let generator = WeightGenerator::new(&config, &averaged(), 1, &device).expect("valid");
    let (_, trace) = traced(&generator, &batch(2, &device).support);
    let last = Tensor::<5>::from_data(trace["layer_3/activations"].clone(), &device);
    let [e, s, channels, ..] = last.dims();
    assert_eq!([e, s, channels], [2, 10, 4]);
    let means = last.mean_dim(4).mean_dim(3).reshape([e, s, channels]);
    assert_close(&trace["logits/features"], &means.into_data());
}

/// Puts one value into the gain of the logits layer.
struct Gain(f32);

impl ModuleMapper for Gain {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D == 1 && param.dims()[0] == 1 {
            param.map(|x| x.full_like(self.0))
        } else {
            param
        }
    }
}

#[test]
fn on_class_means_it_begins_with_them_and_adds_what_is_generated() {
    let device = Device::flex();
    let support = batch(2, &device).support;
    let generator = |base| {
        let config = of_logits(base);
        WeightGenerator::new(&config, &averaged(), 1, &device).expect("valid")
    };
    let on_means = generator(LogitsBase::ClassMeans);
    let (first, trace) = traced(&on_means, &support);
    let features = Tensor::<3>::from_data(trace["logits/features"].clone(), &device);
    let means = LogitsWeights::of_class_means(&features, &support.one_hot(5));
    assert_close(&first.kernel.to_data(), &means.kernel.to_data());
    assert_close(&first.bias.into_data(), &means.bias.to_data());

    let (generated, _) = traced(&generator(LogitsBase::None), &support);
    let (both, _) = traced(&on_means.clone().map(&mut Gain(0.5)), &support);
    let kernel = generated.kernel * 0.5 + means.kernel;
    let bias = generated.bias * 0.5 + means.bias;
    assert_close(&both.kernel.into_data(), &kernel.into_data());
    assert_close(&both.bias.into_data(), &bias.into_data());

    let alone = on_means.map(&mut Gain(0.5)).with_class_means_alone();
    let alone = alone.expect("class means are the base");
    assert_eq!(alone.logits_gain(), Some(0.0));
    let alone = alone.generate(&support).logits;
    assert_close(&alone.kernel.into_data(), &first.kernel.to_data());
    let standing_alone = generator(LogitsBase::None);
    assert_eq!(standing_alone.logits_gain(), None);
    assert!(standing_alone.with_class_means_alone().is_none());
}
