//! How long the data side takes: planning and collating a meta-batch of 16 episodes.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use ht_episodes::{Split, collate};
use ht_train::{Experiment, ExperimentConfig};

fn episode_sampling(criterion: &mut Criterion) {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/quickstart.toml");
    let config = ExperimentConfig::load(&config, &[]).expect("a valid config");
    let experiment = Experiment::resolve(config, None).expect("a possible experiment");
    let sampler = &experiment.train_sampler;
    criterion.bench_function("plan and collate 16 episodes", |bencher| {
        let mut first = 0;
        bencher.iter(|| {
            first += 16;
            let plans: Vec<_> = (first..first + 16)
                .map(|index| sampler.plan(1, Split::Train, index))
                .collect();
            black_box(collate(sampler.images(), &plans))
        });
    });
}

criterion_group!(benches, episode_sampling);
criterion_main!(benches);
