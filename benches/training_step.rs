//! One training step and one adaptation of the quickstart's generator, on one thread.

use std::hint::black_box;
use std::path::Path;

use burn::tensor::Device;
use criterion::{Criterion, criterion_group, criterion_main};
use ht_episodes::{CollatedBatch, Split, collate};
use ht_train::{Experiment, ExperimentConfig, LossConfig, Objective, meta_gradient, to_vector};

fn experiment() -> Experiment {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/quickstart.toml");
    let config = ExperimentConfig::load(&config, &[]).expect("a valid config");
    Experiment::resolve(config, None).expect("a possible experiment")
}

fn batch(experiment: &Experiment, n_episodes: u64) -> CollatedBatch {
    let sampler = &experiment.train_sampler;
    let plans: Vec<_> = (0..n_episodes)
        .map(|index| sampler.plan(1, Split::Train, index))
        .collect();
    collate(sampler.images(), &plans)
}

fn training_step(criterion: &mut Criterion) {
    let experiment = experiment();
    let device = Device::flex().autodiff();
    let model = experiment
        .config
        .new_generator(&device)
        .expect("a generator");
    let parameters = to_vector(&model);
    let mut group = criterion.benchmark_group("training");
    group.sample_size(20);
    group.bench_function("gradient of 8 episodes", |bencher| {
        let batch = batch(&experiment, 8);
        bencher.iter(|| {
            let batches = vec![batch.clone()];
            let objective = Objective {
                loss: LossConfig::default(),
                step: 0,
                seed: 1,
            };
            meta_gradient(&model, &parameters, batches, objective, &device, 1).loss
        });
    });
    group.finish();
}

fn adaptation(criterion: &mut Criterion) {
    let experiment = experiment();
    let device = Device::flex();
    let model = experiment
        .config
        .new_generator(&device)
        .expect("a generator");
    let batch = batch(&experiment, 1).to_device(&device);
    criterion.bench_function("generate one 5-way 1-shot CNN", |bencher| {
        bencher.iter(|| {
            let cnn = model.generate(black_box(&batch.support));
            cnn.logits.kernel.into_data()
        });
    });
    criterion.bench_function("generate and classify 25 queries", |bencher| {
        bencher.iter(|| {
            let cnn = model.generate(black_box(&batch.support));
            cnn.forward(batch.query.images.clone()).into_data()
        });
    });
}

criterion_group!(benches, training_step, adaptation);
criterion_main!(benches);
