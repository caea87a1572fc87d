//! `hypertransformer bench`: the rate of training steps, and how far it is from the floor.
//!
//! The floor is the episode's floating-point operations over the rate of matrix products that
//! this device reaches in the same run, so that a slow hour of a shared machine slows both.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use cpu_time::ProcessTime;
use ht_episodes::{Split, collate};
use ht_generator::{EpisodeCost, WeightGenerator};
use ht_train::{
    Compute, Experiment, ExperimentConfig, MetaOptimizer, Objective, Override, meta_gradient,
    to_vector, training_batches,
};
use serde_json::json;

use super::Outcome;
use crate::args::BenchArgs;
use crate::progress::print;

/// The episode of the released Omniglot script, on glyphs.
const RELEASED_EPISODE: &str = include_str!("../../../../configs/released-episode.toml");

const WARM_UP_STEPS: usize = 3;
/// Side of the matrices, and products whose median rate counts.
const PRODUCT: (usize, usize) = (384, 9);

/// Measures training steps of an experiment.
pub(crate) fn run(args: &BenchArgs) -> Result<Outcome> {
    let mut config = match &args.config {
        Some(path) => ExperimentConfig::load(path, &args.overrides)?,
        None => released_episode(&args.overrides)?,
    };
    let n_steps = args.steps;
    // As long as is measured, however short the experiment is.
    config.training.steps = (WARM_UP_STEPS + n_steps) as u64;
    let compute = args.compute.device.compute(args.compute.threads)?;
    let experiment = Experiment::resolve(config, args.data.as_deref())?;
    let config = &experiment.config;
    let spec = config.episodes.train_spec();
    let (n_support, n_query) = (spec.n_support(), spec.ways * spec.queries);
    let model = config.new_generator(&compute.device)?;
    let cost = model.episode_cost(n_support, n_query);

    let product_rate = product_rate(&compute.device);
    let steps = measure_steps(&experiment, &compute, n_steps)?;
    let generate_ms = measure_generation(&experiment, &model, &compute.device, n_steps);
    let data_ms = measure_data(&experiment, n_steps);

    let n_episodes = config.training.meta_batch as f64;
    let floor_ms = cost.total().flop() / product_rate * 1e3;
    // One product at a time tells nothing of a GPU, which is waited for each time.
    let is_cpu = args.compute.device.is_cpu();
    let floor_ratio = is_cpu.then(|| floor_ms * n_episodes / steps.cpu_ms);
    let object = json!({
        "train_episodes_per_second": n_episodes / steps.wall_ms * 1e3,
        "train_episodes_per_cpu_second": n_episodes / steps.cpu_ms * 1e3,
        "cores_busy": steps.cpu_ms / steps.wall_ms,
        "generate_ms": generate_ms,
        "data_ms": data_ms,
        "floor_ms": is_cpu.then_some(floor_ms),
        "floor_ratio": floor_ratio,
        "product_gflops": is_cpu.then_some(product_rate / 1e9),
        "shape": {
            "name": config.name,
            "ways": spec.ways,
            "shots": spec.shots,
            "support": n_support,
            "query": n_query,
            "image": [model.spec().image.channels, model.spec().image.height, model.spec().image.width],
            "channels": config.cnn.channels,
            "meta_batch": config.training.meta_batch,
            "micro_batch": config.training.micro_batch,
            "generator_parameters": model.num_params(),
            "episode_mflop": cost.total().flop() / 1e6,
        },
        "steps": n_steps,
        "threads": compute.n_threads,
        "device": args.compute.device.to_string(),
    });
    if args.json {
        print(&object.to_string());
    } else {
        show(&cost, &object);
    }
    Ok(Outcome::Done)
}

fn released_episode(overrides: &[Override]) -> Result<ExperimentConfig> {
    let place = "configs/released-episode.toml";
    Ok(ExperimentConfig::parse(RELEASED_EPISODE, place, overrides)?)
}

/// Milliseconds of one step.
struct StepTime {
    wall_ms: f64,
    cpu_ms: f64,
}

/// Medians over steps as `train` makes them: episodes, gradient, update, loss read back.
fn measure_steps(experiment: &Experiment, compute: &Compute, n_steps: usize) -> Result<StepTime> {
    let config = &experiment.config;
    let device = compute.device.clone().autodiff();
    let model = config.new_learner(&device)?;
    let mut parameters = to_vector(&model);
    let mut optimizer = MetaOptimizer::new(&config.optimizer);
    let mut wall = Vec::with_capacity(n_steps);
    let mut cpu = Vec::with_capacity(n_steps);
    let mut batches = training_batches(experiment, 0, compute.n_loaders);
    for step in 0..(WARM_UP_STEPS + n_steps) as u64 {
        // From asking for the episodes to the new parameters: what is waited for counts.
        let (started, cpu_before) = (Instant::now(), ProcessTime::now());
        let batch = batches.next().context("no more episodes")?;
        let objective = Objective::at(config, step);
        let threads = compute.n_threads;
        let result = meta_gradient(&model, &parameters, batch, objective, &device, threads);
        if let Some(cause) = result.figures().fault(config.training.largest_loss) {
            bail!("{cause} at step {step}: lower schedule.learning_rate");
        }
        let rate = config.schedule.learning_rate(step, config.training.steps);
        let largest = config.training.gradient_clip;
        let (gradient, norm) = (result.gradient, result.norm);
        parameters = optimizer.clipped_step(rate, parameters, gradient, norm, largest);
        wait_for(&parameters);
        if step >= WARM_UP_STEPS as u64 {
            wall.push(started.elapsed().as_secs_f64() * 1e3);
            cpu.push(cpu_before.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(StepTime {
        wall_ms: median(wall),
        cpu_ms: median(cpu),
    })
}

/// Median milliseconds from one support set to its CNN.
fn measure_generation(
    experiment: &Experiment,
    model: &WeightGenerator,
    device: &Device,
    n_times: usize,
) -> f64 {
    let sampler = &experiment.train_sampler;
    let plan = sampler.plan(1, Split::Train, 0);
    let batch = collate(sampler.images(), &[plan]).to_device(device);
    let times = (0..n_times).map(|_| {
        let started = Instant::now();
        let cnn = model.generate(&batch.support);
        wait_for(&cnn.logits.kernel);
        started.elapsed().as_secs_f64() * 1e3
    });
    median(times.collect())
}

/// Median milliseconds to draw, change and collate the episodes of one step, on one thread.
fn measure_data(experiment: &Experiment, n_times: usize) -> f64 {
    let sampler = &experiment.train_sampler;
    let meta_batch = experiment.config.training.meta_batch as u64;
    let times = (0..n_times as u64).map(|step| {
        let started = Instant::now();
        let plans: Vec<_> = (step * meta_batch..(step + 1) * meta_batch)
            .map(|index| sampler.plan(1, Split::Train, index))
            .collect();
        let batch = collate(sampler.images(), &plans);
        std::hint::black_box(batch);
        started.elapsed().as_secs_f64() * 1e3
    });
    median(times.collect())
}

/// Floating-point operations per second of a square matrix product: the median of several.
fn product_rate(device: &Device) -> f64 {
    let (side, n_products) = PRODUCT;
    let random = || Tensor::<2>::random([side, side], Distribution::Default, device);
    let (a, b) = (random(), random());
    let flop = 2.0 * (side * side * side) as f64;
    let rates = (0..n_products).map(|_| {
        let started = Instant::now();
        wait_for(&a.clone().matmul(b.clone()));
        flop / started.elapsed().as_secs_f64()
    });
    median(rates.collect())
}

/// Returns when a device has computed the tensor.
fn wait_for<const D: usize>(tensor: &Tensor<D>) {
    let first = tensor
        .clone()
        .slice(std::array::from_fn::<_, D, _>(|_| 0..1));
    std::hint::black_box(first.into_data());
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn show(cost: &EpisodeCost, object: &serde_json::Value) {
    print("part                    forward  and backward");
    for (name, part) in cost.parts() {
        let forward = 2.0 * part.forward as f64 / 1e6;
        print(&format!(
            "{name:22} {forward:>6.1} M  {:>8.1} M",
            part.flop() / 1e6
        ));
    }
    for key in [
        "train_episodes_per_second",
        "train_episodes_per_cpu_second",
        "cores_busy",
        "generate_ms",
        "data_ms",
        "product_gflops",
        "floor_ms",
        "floor_ratio",
    ] {
        if let Some(value) = object[key].as_f64() {
            print(&format!("{key:30} {value:.3}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_released_episode_has_its_sizes_and_its_cost() {
        let config = released_episode(&[]).expect("valid");
        // No matter which, as long as there is one.
        let Ok(compute) = crate::device::DeviceName::default().compute(Some(1)) else {
            crate::progress::say("skipped: no driver for the device that is compiled in");
            return;
        };
        let device = compute.device;
        let model = config.new_generator(&device).expect("valid");
        assert_eq!(model.num_params(), 843_304);
        let cost = model.episode_cost(20, 60);
        // By hand: 14 x 14, 7 x 7, 4 x 4 and 4 x 4 positions of 32 kernels, 20 images.
        let encoder = 32 * 9 * 20 * (196 + 32 * (49 + 16 + 16));
        assert_eq!(cost.image_encoder.forward, encoder);
        assert_eq!(cost.image_encoder.backward, 2 * encoder - 32 * 9 * 20 * 196);
        let layers = 8 * 9 * (784 + 8 * (196 + 49 + 9));
        assert_eq!(cost.support_layers.forward, 20 * layers);
        assert_eq!(cost.query_layers.forward, 60 * (layers + 20 * 8));
    }
}
