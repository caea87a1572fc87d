//! One update of the 843,304 parameters of the released Omniglot script's generator, as a training
//! step makes it: norm of the gradient, clipping, Adam.

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use ht_train::{MetaOptimizer, OptimizerConfig};

const PARAMETERS: usize = 843_304;

fn updates(criterion: &mut Criterion) {
    let device = Device::flex();
    let random = || Tensor::<1>::random([PARAMETERS], Distribution::Default, &device);
    let adam = OptimizerConfig::Adam {
        beta_1: 0.9,
        beta_2: 0.999,
        epsilon: 1e-8,
    };
    let mut group = criterion.benchmark_group("update of 843,304 parameters");
    for (name, config) in [("Adam", adam), ("SGD", OptimizerConfig::Sgd {})] {
        group.bench_function(name, |bencher| {
            let mut optimizer = MetaOptimizer::new(&config);
            let mut parameters = random();
            let gradient = random();
            bencher.iter(|| {
                let norm = gradient.clone().square().sum().sqrt();
                let before = std::mem::replace(&mut parameters, Tensor::empty([0], &device));
                parameters =
                    optimizer.clipped_step(1e-3, before, gradient.clone(), norm, Some(1.0));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, updates);

/// As in the binary: what is measured is mostly fresh memory otherwise.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_main!(benches);
