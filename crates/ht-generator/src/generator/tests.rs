//! Every parameter is reached, and what cannot be built names its key.

mod bases;
mod logits;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::module::{ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use ht_cnn::{CnnConfig, Features, Geometry, NormStatistics, Padding, WeightAllocation};
use ht_episodes::{
    ClassRotation, ClassSplit, EpisodeBatch, EpisodeSampler, EpisodeSpec, ImageSource, Split,
    SplitConfig, collate,
};

use super::*;
use crate::{
    ActivationEncoderConfig, Architecture, AttentionWeighting, BlockActivation, ClassHeadConfig,
    ConvolutionBase, ConvolutionFeatures, FeedForwardConfig, ImageEncoderConfig, LastBlock,
    LearnedLayers, LearnedTensors, LogitsBase, LogitsFeatures, LogitsStart, LogitsTokens,
    NonlinearFeatures, NormOrder, NormWeights, SampleFeatures, SampleTokens, Size, Trace,
    TransformerConfig, WarmupHeadsConfig,
};

fn config() -> GeneratorConfig {
    GeneratorConfig {
        allocation: WeightAllocation::Output,
        learned_layers: LearnedLayers::None,
        embedding_width: 8,
        convolution_features: ConvolutionFeatures::Encoded,
        norm_weights: NormWeights::Learned,
        norm_prior: false,
        added_weights: false,
        convolution_base: ConvolutionBase::None,
        learned_tensors: LearnedTensors::Shared,
        logits_tokens: LogitsTokens::Independent,
        logits_features: LogitsFeatures::Encoded,
        logits_base: LogitsBase::None,
        sample_features: SampleFeatures::Plain,
        sample_tokens: SampleTokens::Each,
        logits_start: LogitsStart::Random,
        hidden_samples: HiddenSamples::Removed,
        warmup_heads: None,
        class_head: None,
        image_encoder: Some(ImageEncoderConfig {
            depth: 3,
            width: 6,
            padding: Padding::Same,
            dropout: 0.0,
        }),
        activation_encoder: Some(ActivationEncoderConfig {
            depth: 2,
            width: Some(4),
            nonlinear: NonlinearFeatures::None,
            dropout: 0.0,
        }),
        transformer: TransformerConfig {
            blocks: 2,
            heads: 2,
            norm: NormOrder::Pre,
            query_key: Size::Fraction(0.5),
            value: Size::Absolute(12),
            attention: AttentionWeighting::Softmax,
            architecture: Architecture::Encoder,
            dropout: 0.0,
            feed_forward: Some(FeedForwardConfig {
                inner: Size::Fraction(1.0),
                activation: BlockActivation::Relu,
                last_block: LastBlock::Activated,
            }),
        },
    }
}

fn spec() -> CnnSpec {
    spec_for(&config())
}

fn spec_for(config: &GeneratorConfig) -> CnnSpec {
    use NormStatistics::{QueryBatch, Support};
    let norm_statistics = [QueryBatch, Support][usize::from(config.norm_prior)];
    let image = Geometry {
        channels: 1,
        height: 28,
        width: 28,
    };
    let cnn = CnnConfig {
        channels: 4,
        norm_statistics,
        ..CnnConfig::default()
    };
    CnnSpec::new(&cnn, image, 5).expect("fits")
}

fn batch(n_episodes: u64, device: &Device) -> EpisodeBatch {
    let source = "source = 'glyphs'\nclasses = 20\nsamples = 6\nimage_size = 28\nseed = 1";
    let source: ImageSource = toml::from_str(source).expect("valid");
    let images = Arc::new(source.load(None).expect("drawn"));
    let split = SplitConfig::Seed {
        seed: 0,
        validation: 5,
        test: 5,
    };
    let split = ClassSplit::new(&split, &images).expect("enough classes");
    let size = EpisodeSpec::new(5, 2, 3);
    let sampler = EpisodeSampler::new(images, split, size, ClassRotation::None).expect("possible");
    let plans: Vec<_> = (0..n_episodes)
        .map(|index| sampler.plan(3, Split::Train, index))
        .collect();
    collate(sampler.images(), &plans).to_device(device)
}

/// Names of the parameters without a gradient, or with one that is zero everywhere.
struct WithoutGradient {
    gradients: GradientsParams,
    path: Vec<String>,
    found: Vec<String>,
}

impl ModuleVisitor for WithoutGradient {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let largest = self
            .gradients
            .get::<D>(param.id)
            .map_or(0.0, |gradient| gradient.abs().max().into_scalar::<f32>());
        if largest == 0.0 {
            self.found.push(self.path.join("."));
        }
    }
}

fn without_gradient(config: &GeneratorConfig) -> Vec<String> {
    let device = Device::flex().autodiff();
    let generator = WeightGenerator::new(config, &spec_for(config), 1, &device).expect("valid");
    let EpisodeBatch { support, query, .. } = batch(2, &device);
    let logits = generator.generate(&support).forward(query.images);
    let gradients = GradientsParams::from_grads(logits.square().sum().backward(), &generator);
    let mut visitor = WithoutGradient {
        gradients,
        path: Vec::new(),
        found: Vec::new(),
    };
    generator.visit(&mut visitor);
    visitor.found
}

fn with_prior() -> GeneratorConfig {
    GeneratorConfig {
        norm_prior: true,
        ..config()
    }
}

/// A count that is too low lets a stranger's config take the memory all the same.
#[test]
fn parameters_are_counted_before_they_are_made() {
    let transformer = TransformerConfig {
        norm: NormOrder::Post,
        architecture: Architecture::EncoderDecoder,
        query_key: Size::Absolute(6),
        feed_forward: None,
        ..config().transformer
    };
    let encoders = GeneratorConfig {
        image_encoder: None,
        activation_encoder: Some(ActivationEncoderConfig {
            depth: 5,
            width: None,
            nonlinear: NonlinearFeatures::None,
            dropout: 0.0,
        }),
        logits_features: LogitsFeatures::Both,
        ..config()
    };
    let on_means = GeneratorConfig {
        logits_base: LogitsBase::ClassMeans,
        ..config()
    };
    let on_learned = GeneratorConfig {
        convolution_base: ConvolutionBase::Learned,
        learned_layers: LearnedLayers::First(1),
        norm_weights: NormWeights::Generated,
        sample_tokens: SampleTokens::ClassMeans,
        convolution_features: ConvolutionFeatures::Grid,
        ..config()
    };
    let mut configs = vec![config(), encoders, with_prior(), on_means, on_learned];
    for allocation in [WeightAllocation::Output, WeightAllocation::Spatial] {
        for learned_layers in [LearnedLayers::First(2), LearnedLayers::Last(4)] {
            configs.push(GeneratorConfig {
                allocation,
                learned_layers,
                logits_features: LogitsFeatures::Flattened,
                warmup_heads: Some(WarmupHeadsConfig { steps: 10 }),
                class_head: Some(ClassHeadConfig { classes: 37 }),
                transformer: transformer.clone(),
                ..config()
            });
        }
    }
    for learned_tensors in [LearnedTensors::Shared, LearnedTensors::PerPass] {
        for added_weights in [false, true] {
            configs.push(GeneratorConfig {
                norm_weights: NormWeights::Generated,
                learned_layers: LearnedLayers::First(1),
                added_weights,
                learned_tensors,
                transformer: TransformerConfig {
                    architecture: Architecture::EncoderDecoder,
                    ..config().transformer
                },
                ..config()
            });
        }
    }
    for config in configs {
        for features in [Features::Flatten, Features::Mean] {
            let spec = CnnSpec {
                features,
                ..spec_for(&config)
            };
            let generator = WeightGenerator::new(&config, &spec, 0, &Device::flex());
            let counted = config.n_parameters(&spec);
            let made = generator.expect("valid").num_params() as u64;
            assert_eq!(made, counted, "{config:?}, {features:?}");
        }
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    let post = TransformerConfig {
        norm: NormOrder::Post,
        ..config().transformer
    };
    for config in [
        config(),
        with_prior(),
        GeneratorConfig {
            transformer: post,
            allocation: WeightAllocation::Spatial,
            ..config()
        },
        GeneratorConfig {
            learned_layers: LearnedLayers::First(2),
            image_encoder: None,
            ..config()
        },
        GeneratorConfig {
            learned_layers: LearnedLayers::Last(4),
            activation_encoder: None,
            logits_tokens: LogitsTokens::FromLabels,
            ..config()
        },
    ] {
        assert_eq!(without_gradient(&config), [] as [String; 0], "{config:?}");
    }
}

/// The sum of the squares of each parameter, by its name.
#[derive(Default)]
struct Squares {
    path: Vec<String>,
    found: BTreeMap<String, f32>,
}

impl ModuleVisitor for Squares {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let square = param.val().square().sum().into_scalar::<f32>();
        self.found.insert(self.path.join("."), square);
    }
}

#[test]
fn each_kernel_of_a_cnn_is_squared_once() {
    let device = Device::flex();
    let squares_under = |config: &GeneratorConfig| {
        let generator = WeightGenerator::new(config, &spec(), 1, &device).expect("valid");
        let support = batch(2, &device).support;
        let generation = generator.generate_in(&support, &mut Pass::evaluation());
        (generation.squared_kernels(), generator)
    };
    let learned = GeneratorConfig {
        learned_layers: LearnedLayers::First(2),
        learned_tensors: LearnedTensors::PerPass,
        warmup_heads: Some(WarmupHeadsConfig { steps: 10 }),
        ..config()
    };
    let (squares, generator) = squares_under(&learned);
    // Two learned kernels and the query pass's copies, two generated ones, the logits layer's.
    assert_eq!(squares.len(), 7);
    let heads = generator.warmup_heads().expect("asked for");
    let of_parameters = squares.into_iter().take(4).chain(heads.squared_kernels());
    let mut parameters = Squares::default();
    generator.visit(&mut parameters);
    let names = [
        "layers.0.learned.kernel",
        "layers.0.query_learned.kernel",
        "layers.1.learned.kernel",
        "layers.1.query_learned.kernel",
        "warmup_heads.heads.0.weight",
        "warmup_heads.heads.1.weight",
        "warmup_heads.heads.2.weight",
    ];
    let found: Vec<f32> = of_parameters.map(Tensor::into_scalar).collect();
    assert_eq!(found.len(), names.len());
    for (square, name) in found.iter().zip(names) {
        let expected = parameters.found[name];
        let difference = (square - expected).abs();
        assert!(difference < 1e-4 * expected, "{name}: {square} {expected}");
    }
    // Of added tensors with two copies only the support pass's sum counts.
    let added = GeneratorConfig {
        added_weights: true,
        learned_tensors: LearnedTensors::PerPass,
        ..config()
    };
    assert_eq!(squares_under(&added).0.len(), 5);
}

#[test]
fn a_configuration_that_cannot_be_built_names_its_key() {
    let spec = spec();
    let check = |config: &GeneratorConfig, expected: &str| {
        let error = WeightGenerator::new(config, &spec, 0, &Device::flex())
            .expect_err("cannot be built")
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    let learned_layers = LearnedLayers::Last(5);
    check(
        &GeneratorConfig {
            learned_layers,
            ..config()
        },
        "generator.learned_layers is 5, expected at most cnn.depth = 4",
    );
    check(
        &GeneratorConfig {
            logits_start: LogitsStart::Construction,
            ..config()
        },
        "logits_start = \"construction\" cannot be combined with generator.logits_tokens",
    );
    check(
        &GeneratorConfig {
            convolution_base: ConvolutionBase::Learned,
            added_weights: true,
            ..config()
        },
        "convolution_base = \"learned\" cannot be combined with generator.added_weights",
    );
    let transformer = TransformerConfig {
        value: Size::Absolute(13),
        ..config().transformer
    };
    check(
        &GeneratorConfig {
            transformer,
            ..config()
        },
        "generator.transformer.value is 13, expected a multiple of heads = 2",
    );
    check(
        &with_prior(),
        "generator.norm_prior cannot be combined with cnn.norm_statistics = \"query-batch\"",
    );
    check(
        &GeneratorConfig {
            image_encoder: None,
            activation_encoder: None,
            ..config()
        },
        "both missing",
    );
    check(
        &GeneratorConfig {
            embedding_width: 1 << 40,
            ..config()
        },
        "generator.embedding_width is 1099511627776, expected 1 to 65536",
    );
    check(
        &GeneratorConfig {
            embedding_width: 1 << 15,
            ..config()
        },
        "would have",
    );
}
