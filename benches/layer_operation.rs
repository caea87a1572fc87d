//! The layer operation on the sizes of the released Omniglot script's episode, 8 episodes in one
//! call, forward alone and with the way back. Rates in multiply-adds: twice as many FLOP.

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ht_cnn::{
    Activation, Activations, CnnConfig, CnnSpec, Convolution, Geometry, LayerWeights,
    Normalization, Padding, Pooling, conv_layer, convolve,
};

const EPISODES: usize = 8;
const SUPPORT: usize = 20;
const QUERIES: usize = 60;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)
}

/// The generated layers on the images of `n_images`.
fn generated(criterion: &mut Criterion, role: &str, n_images: usize) {
    let image = Geometry {
        channels: 1,
        height: 28,
        width: 28,
    };
    let spec = CnnSpec::new(&CnnConfig::default(), image, 20).expect("the paper's CNN");
    let mut group = criterion.benchmark_group(format!("generated layer, {role}"));
    for (l, layer) in spec.layers.iter().enumerate() {
        let Geometry {
            channels,
            height,
            width,
        } = layer.input;
        let outputs = layer.output.channels;
        let run = |device: &Device, tracked: bool| {
            let x = random([EPISODES, n_images, channels, height, width], device);
            let kernel = random([EPISODES, outputs, channels, 3, 3], device);
            let (x, kernel) = if tracked {
                // The images themselves need no gradient.
                let x = if l == 0 { x } else { x.require_grad() };
                (x, kernel.require_grad())
            } else {
                (x, kernel)
            };
            let weights = LayerWeights {
                kernel,
                bias: None,
                scale: Tensor::ones([EPISODES, outputs], device),
                shift: Tensor::zeros([EPISODES, outputs], device),
            };
            (Activations::from_images(x), weights)
        };
        let convolved = layer.convolved;
        let multiply_adds = convolved.height * convolved.width * layer.kernel_len();
        group.throughput(Throughput::Elements(
            (EPISODES * n_images * multiply_adds) as u64,
        ));
        let device = Device::flex();
        let (x, weights) = run(&device, false);
        // The layout as the layer before it leaves it.
        let x = x.map(|x| x + 0.0);
        group.bench_function(BenchmarkId::new("forward", l + 1), |bencher| {
            bencher.iter(|| conv_layer(x.clone(), &weights, layer, Normalization::OwnBatch));
        });
        let device = device.autodiff();
        group.bench_function(BenchmarkId::new("forward and backward", l + 1), |bencher| {
            bencher.iter_batched(
                || run(&device, true),
                |(x, weights)| {
                    let out = conv_layer(x, &weights, layer, Normalization::OwnBatch);
                    out.into_images().sum().backward()
                },
                criterion::BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// The convolutions of the image encoder on all support images at once.
fn image_encoder(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("image encoder");
    let mut side = 28;
    for (l, (inputs, stride)) in [(1, 2), (32, 2), (32, 2), (32, 1)].into_iter().enumerate() {
        let zeros = Padding::Same.zeros(side, 3, stride);
        let convolution = Convolution {
            stride,
            padding: [zeros; 2],
            activation: Some(Activation::Relu),
            pooling: Pooling::None,
        };
        let run = |device: &Device, tracked: bool| {
            let x = random([1, EPISODES * SUPPORT, inputs, side, side], device);
            let kernel = random([1, 32, inputs, 3, 3], device);
            let bias = random([1, 32], device);
            if tracked {
                let x = if l == 0 { x } else { x.require_grad() };
                (
                    Activations::from_images(x),
                    kernel.require_grad(),
                    bias.require_grad(),
                )
            } else {
                (Activations::from_images(x), kernel, bias)
            }
        };
        let out = side.div_ceil(stride);
        group.throughput(Throughput::Elements(
            (EPISODES * SUPPORT * out * out * 32 * inputs * 9) as u64,
        ));
        let device = Device::flex();
        let (x, kernel, bias) = run(&device, false);
        let x = x.map(|x| x + 0.0);
        group.bench_function(BenchmarkId::new("forward", l + 1), |bencher| {
            bencher.iter(|| convolve(x.clone(), kernel.clone(), Some(bias.clone()), &convolution));
        });
        let device = device.autodiff();
        group.bench_function(BenchmarkId::new("forward and backward", l + 1), |bencher| {
            bencher.iter_batched(
                || run(&device, true),
                |(x, kernel, bias)| {
                    let out = convolve(x, kernel, Some(bias), &convolution);
                    out.into_images().sum().backward()
                },
                criterion::BatchSize::LargeInput,
            );
        });
        side = out;
    }
    group.finish();
}

fn layers(criterion: &mut Criterion) {
    image_encoder(criterion);
    generated(criterion, "support", SUPPORT);
    generated(criterion, "queries", QUERIES);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(1)).warm_up_time(std::time::Duration::from_millis(300));
    targets = layers
}
/// As in the binary: what is measured is mostly fresh memory otherwise.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_main!(benches);
