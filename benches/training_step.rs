//! One training step of the quickstart's generator and of the released Omniglot script's, and one
//! adaptation, each on one thread. Targets and results: docs/performance.md.

use std::hint::black_box;
use std::path::Path;

use burn::tensor::Device;
use criterion::{Criterion, criterion_group, criterion_main};
use ht_episodes::{CollatedBatch, Split, collate};
use ht_train::{Experiment, ExperimentConfig, Objective, meta_gradient, to_vector};

fn experiment(config: &str, overrides: &[&str]) -> Experiment {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let overrides: Vec<_> = overrides
        .iter()
        .map(|text| text.parse().expect("key=value"))
        .collect();
    let config = ExperimentConfig::load(&folder.join(config), &overrides).expect("valid");
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
    let device = Device::flex().autodiff();
    let mut group = criterion.benchmark_group("training");
    group.sample_size(20);
    for (name, config) in [
        ("gradient of 8 episodes, quickstart", "quickstart.toml"),
        (
            "gradient of 8 episodes, 20-way 1-shot",
            "released-episode.toml",
        ),
    ] {
        let experiment = experiment(config, &[]);
        let model = experiment.config.new_learner(&device).expect("a generator");
        let parameters = to_vector(&model);
        let name = format!("{name}, {} parameters", parameters.dims()[0]);
        group.bench_function(name, |bencher| {
            let batch = batch(&experiment, 8);
            bencher.iter(|| {
                let batches = vec![batch.clone()];
                let objective = Objective::at(&experiment.config, 0);
                meta_gradient(&model, &parameters, batches, objective, &device, 1).figures()
            });
        });
    }
    group.finish();
}

fn adaptation(criterion: &mut Criterion) {
    let device = Device::flex();
    for (task, overrides) in [
        ("5-way 1-shot", &[] as &[&str]),
        ("20-way 5-shot", &["episodes.ways=20", "episodes.shots=5"]),
    ] {
        let experiment = experiment("quickstart.toml", overrides);
        let model = experiment
            .config
            .new_generator(&device)
            .expect("a generator");
        let batch = batch(&experiment, 1).to_device(&device);
        criterion.bench_function(&format!("generate one {task} CNN"), |bencher| {
            bencher.iter(|| {
                let cnn = model.generate(black_box(&batch.support));
                cnn.logits.kernel.into_data()
            });
        });
        criterion.bench_function(
            &format!("generate and classify queries, {task}"),
            |bencher| {
                bencher.iter(|| {
                    let cnn = model.generate(black_box(&batch.support));
                    cnn.forward(batch.query.images.clone()).into_data()
                });
            },
        );
    }
}

criterion_group!(benches, training_step, adaptation);
/// As in the binary: what is measured is mostly fresh memory otherwise.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_main!(benches);
