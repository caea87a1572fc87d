//! The episodes of today are those of every later version: digests that must never change.
//!
//! A changed line means that old results cannot be repeated any more. It is no line to correct.

use ht_episodes::{EpisodeList, Prefetch, Split};
use ht_train::{Experiment, ExperimentConfig, Override};

const SNAPSHOT: &str = include_str!("fixtures/episodes.txt");
const QUICKSTART: &str = include_str!("../../../configs/quickstart.toml");
const SMOKE: &str = include_str!("../../../configs/smoke.toml");
const SEMI_SUPERVISED: &str = include_str!("../../../configs/semi-supervised.toml");

/// Name, config and changes of it.
const CASES: [(&str, &str, &[&str]); 9] = [
    ("quickstart", QUICKSTART, &[]),
    ("smoke", SMOKE, &[]),
    ("semi-supervised", SEMI_SUPERVISED, &[]),
    (
        "as-classes",
        SMOKE,
        &["episodes.rotation='as-classes-with-mirrors'"],
    ),
    ("whole-class", SMOKE, &["episodes.query_pool='whole-class'"]),
    ("unbalanced", SMOKE, &["episodes.balance='unbalanced'"]),
    (
        "irregular",
        SMOKE,
        &["episodes.irregular={ min_ways = 2, min_shots = 1 }"],
    ),
    (
        "jitter",
        SMOKE,
        &["episodes.jitter={ turn = 10.0, slant = 0.1, size = 0.1, shift = 0.1 }"],
    ),
    (
        "removal",
        SMOKE,
        &["episodes.removal={ labelled = 0.3, unlabelled = 0.0 }"],
    ),
];

fn experiment(config: &str, overrides: &[&str]) -> Experiment {
    let overrides: Vec<Override> = overrides
        .iter()
        .map(|text| text.parse().expect("key=value"))
        .collect();
    let config = ExperimentConfig::parse(config, "snapshot", &overrides).expect("a config");
    Experiment::resolve(config, None).expect("possible")
}

/// Digest of the first 50 episodes of a part, drawn by some threads.
fn digest(experiment: &Experiment, split: Split, n_workers: usize) -> String {
    let sampler = match split {
        Split::Train => experiment.train_sampler.clone(),
        Split::Validation | Split::Test => experiment.evaluation_sampler.clone(),
    };
    let plans = Prefetch::new(0..50, n_workers, 2, move |index| {
        sampler.plan(11, split, index)
    });
    EpisodeList::new(split.name(), plans.take(50).collect()).digest()
}

#[test]
fn episodes_are_those_of_the_snapshot_with_any_number_of_workers() {
    for n_workers in [1, 2, 8] {
        let mut lines = Vec::new();
        for (name, config, overrides) in CASES {
            let experiment = experiment(config, overrides);
            let data = experiment.train_sampler.images().digest();
            lines.push(format!("{name} images {data}\n"));
            for split in Split::ALL {
                let digest = digest(&experiment, split, n_workers);
                lines.push(format!("{name} {} {digest}\n", split.name()));
            }
        }
        let lines = lines.concat();
        assert!(lines == SNAPSHOT, "with {n_workers} workers, now:\n{lines}");
    }
}
