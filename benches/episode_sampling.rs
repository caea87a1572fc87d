//! How long the data side takes: planning and collating a meta-batch of 16 episodes, and changing
//! the crop and colours of photographs.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use ht_episodes::image_ops::Picture;
use ht_episodes::{ImageShape, PhotoAugmentation, Split, collate, stream};
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

fn photographs(criterion: &mut Criterion) {
    let shape = ImageShape {
        channels: 3,
        height: 84,
        width: 84,
    };
    // Colours of every kind, without the noise that no photograph has.
    let bytes: Vec<u8> = (0..shape.len())
        .map(|i| (i % 84 * (1 + i / 7056) + i / 84 * 2) as u8)
        .collect();
    let picture = Picture::from_bytes(shape, &bytes).normalised();
    let mut rng = stream(1, "bench", 0, 0);
    let drawn = PhotoAugmentation { individually: true }.draw(100, &mut rng);
    criterion.bench_function("change 100 photographs of 84 x 84 x 3", |bencher| {
        bencher.iter(|| {
            for drawn in &drawn {
                black_box(drawn.apply(&picture));
            }
        });
    });
}

criterion_group!(benches, episode_sampling, photographs);
criterion_main!(benches);
