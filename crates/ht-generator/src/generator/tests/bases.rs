//! What convolutions are added to, and what has a token.

use burn::module::{ModuleMapper, Param};
use burn::tensor::{TensorData, Tolerance};

use super::*;

fn on_learned() -> GeneratorConfig {
    GeneratorConfig {
        convolution_base: ConvolutionBase::Learned,
        ..config()
    }
}

fn by_classes() -> GeneratorConfig {
    GeneratorConfig {
        sample_tokens: SampleTokens::ClassMeans,
        ..config()
    }
}

fn kernels(generator: &WeightGenerator, support: &SupportSet) -> Vec<Tensor<5>> {
    let layers = generator.generate(support).layers;
    layers.into_iter().map(|layer| layer.kernel).collect()
}

fn assert_close(ours: &TensorData, expected: &TensorData) {
    ours.assert_approx_eq::<f32>(expected, Tolerance::absolute(1e-4));
}

/// Lets as much as this of what the transformers give through.
struct Mixing {
    share: f32,
    is_there: bool,
}

impl Mixing {
    fn of(share: f32) -> Self {
        let is_there = false;
        Self { share, is_there }
    }
}

impl ModuleMapper for Mixing {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.is_there = name == "mixing";
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !self.is_there {
            return param;
        }
        let [len] = [param.dims()[0]];
        let one = Tensor::<2>::eye(len, &param.device()) * self.share;
        param.map(|_| one.reshape([len; D]))
    }
}

#[test]
fn on_learned_convolutions_it_begins_with_them_and_adds_what_is_generated() {
    let device = Device::flex();
    let support = batch(2, &device).support;
    let generator = WeightGenerator::new(&on_learned(), &spec(), 1, &device).expect("valid");
    let first = kernels(&generator, &support);
    for kernel in &first {
        let [one, other] = [0, 1].map(|episode| kernel.clone().narrow(0, episode, 1));
        assert_eq!(one.into_data(), other.into_data(), "shared by all episodes");
    }
    // The first layer's input is the image, whatever the layers behind it are.
    let open = |share| kernels(&generator.clone().map(&mut Mixing::of(share)), &support)[0].clone();
    let [half, whole] = [open(0.5), open(1.0)];
    let added = (half.clone() - first[0].clone()) * 2.0;
    let expected = whole - first[0].clone();
    assert_close(&added.into_data(), &expected.into_data());
    let apart = half.clone().narrow(0, 0, 1) - half.narrow(0, 1, 1);
    assert!(
        apart.abs().max().into_scalar::<f32>() > 1e-3,
        "each its own"
    );

    // The mean of what was added stands in its place, whole.
    let opened = generator.map(&mut Mixing::of(0.5));
    let mean = opened
        .with_mean_convolutions([support.clone()])
        .expect("generated");
    let expected = kernels(&opened, &support)[0]
        .clone()
        .mean_dim(0)
        .expand([2, 4, 1, 3, 3]);
    assert_close(
        &kernels(&mean, &support)[0].to_data(),
        &expected.into_data(),
    );
}

#[test]
fn classes_have_one_token_however_many_samples_show_them() {
    let device = Device::flex();
    let generator = WeightGenerator::new(&by_classes(), &spec(), 1, &device).expect("valid");
    let mut pass = Pass::evaluation().traced();
    let support = batch(2, &device).support;
    let once = generator.generate_in(&support, &mut pass).cnn;
    let [_, samples, ..] = support.images.dims();
    let trace = pass.into_trace();
    assert_eq!((samples, trace["logits/features"].shape()[1]), (10, 5));

    // Each image twice: the same means, and the same statistics of the layers.
    let twice = SupportSet::new(
        Tensor::cat(vec![support.images.clone(), support.images.clone()], 1),
        Tensor::cat(vec![support.labels.clone(), support.labels.clone()], 1),
    );
    let twice = generator.generate(&twice);
    for (ours, expected) in twice.layers.iter().zip(&once.layers) {
        assert_close(&ours.kernel.to_data(), &expected.kernel.to_data());
    }
    assert_close(
        &twice.logits.kernel.into_data(),
        &once.logits.kernel.to_data(),
    );
    assert!(
        generator.episode_cost(100, 1).transformers.forward
            < WeightGenerator::new(&config(), &spec(), 1, &device)
                .expect("valid")
                .episode_cost(100, 1)
                .transformers
                .forward
    );
}

#[test]
fn a_class_of_which_nothing_is_shown_has_no_token() {
    let device = Device::flex();
    let generator = WeightGenerator::new(&by_classes(), &spec(), 1, &device).expect("valid");
    let support = batch(1, &device).support;
    // As samples without a label: the last class has none left.
    let unlabelled = support.labels.clone().equal_elem(4);
    let support = SupportSet {
        labels: support.labels.mask_fill(unlabelled, 5),
        ..support
    };
    let mut pass = Pass::evaluation().traced();
    generator.generate_in(&support, &mut pass);
    let trace = pass.into_trace();
    let maps: Vec<_> = (trace.iter())
        .filter(|(name, _)| name.starts_with("logits/") && name.ends_with("attention"))
        .collect();
    assert!(!maps.is_empty());
    for (name, map) in maps {
        let [_, heads, tokens, _] = map.shape()[..] else {
            panic!("{name}: {:?}", map.shape());
        };
        assert_eq!(tokens, 10, "five of weights, five of classes");
        let rows: Vec<f32> = map.iter::<f32>().collect();
        let to = |token: usize| -> f32 {
            let rows = rows.chunks(tokens);
            rows.take(heads * tokens).map(|row| row[token]).sum()
        };
        assert!(
            to(8) > 0.0 && to(9).abs() < 1e-12,
            "{name}: {} {}",
            to(8),
            to(9)
        );
    }
}
