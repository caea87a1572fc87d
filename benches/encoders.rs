//! What the generator sees of the support images: the image encoder and the encoders of each
//! layer's input, on 8 episodes of the released Omniglot script (20 images of 28 x 28 each),
//! forward alone and with the way back.

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ht_cnn::{Activations, CnnConfig, CnnSpec, Geometry, Padding};
use ht_generator::{
    ActivationEncoder, ActivationEncoderConfig, EncodedLayer, ImageEncoder, ImageEncoderConfig,
    NonlinearFeatures, ParameterInit, Pass,
};

const EPISODES: usize = 8;
const SUPPORT: usize = 20;
const IMAGE: Geometry = Geometry {
    channels: 1,
    height: 28,
    width: 28,
};

/// `[E, S, C, H, W]`.
fn inputs(input: Geometry, device: &Device) -> Tensor<5> {
    let shape = [EPISODES, SUPPORT, input.channels, input.height, input.width];
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)
}

fn image_encoder(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("whole image encoder");
    let forward = |device: &Device| {
        let config = ImageEncoderConfig {
            depth: 4,
            width: 32,
            padding: Padding::Same,
            dropout: 0.0,
        };
        let encoder = ImageEncoder::new(&config, 1, &mut ParameterInit::new(1, 0, device));
        let images = inputs(IMAGE, device);
        move || encoder.forward(images.clone(), &mut Pass::evaluation())
    };
    let evaluate = forward(&Device::flex());
    group.bench_function("forward", |bencher| bencher.iter(&evaluate));
    let train = forward(&Device::flex().autodiff());
    group.bench_function("forward and backward", |bencher| {
        bencher.iter(|| train().sum().backward());
    });
    group.finish();
}

fn activation_encoders(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("activation encoder of layer");
    let spec = CnnSpec::new(&CnnConfig::default(), IMAGE, 20).expect("the paper's CNN");
    let convolutions = spec.layers.iter().map(|layer| {
        let encoded = EncodedLayer::Convolution {
            kernel: 3,
            outputs: layer.output.channels,
        };
        (layer.input, encoded)
    });
    let last = spec.layers.last().map(|layer| layer.output);
    let logits = last.map(|output| {
        (
            output,
            EncodedLayer::Logits {
                features: spec.features,
            },
        )
    });
    for (l, (input, layer)) in convolutions.chain(logits).enumerate() {
        let forward = |device: &Device, tracked: bool| {
            let config = ActivationEncoderConfig {
                depth: 2,
                width: None,
                nonlinear: NonlinearFeatures::None,
                dropout: 0.0,
            };
            let mut init = ParameterInit::new(1, 0, device);
            let encoder = ActivationEncoder::new(&config, input, layer, &mut init);
            // The images themselves need no gradient; the activations of layers do.
            let x = if tracked && l > 0 {
                inputs(input, device).require_grad()
            } else {
                inputs(input, device)
            };
            move || encoder.forward(Activations::from_images(x.clone()))
        };
        let evaluate = forward(&Device::flex(), false);
        group.bench_function(BenchmarkId::new("forward", l + 1), |bencher| {
            bencher.iter(&evaluate);
        });
        let train = forward(&Device::flex().autodiff(), true);
        group.bench_function(BenchmarkId::new("forward and backward", l + 1), |bencher| {
            bencher.iter(|| train().sum().backward());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(1)).warm_up_time(std::time::Duration::from_millis(300));
    targets = image_encoder, activation_encoders
}

/// As in the binary: what is measured is mostly fresh memory otherwise.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_main!(benches);
