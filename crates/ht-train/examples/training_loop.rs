//! A training loop of one's own, with the parts of this crate: episodes, gradient, update.

#![expect(clippy::print_stdout, reason = "an example shows what it has made")]

use burn::tensor::Device;
use ht_train::{
    Experiment, ExperimentConfig, MetaOptimizer, Objective, TrainError, from_vector, meta_gradient,
    to_vector, training_batches,
};

fn main() -> Result<(), TrainError> {
    let overrides = ["training.steps=10".parse()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    let experiment = Experiment::resolve(ExperimentConfig::quickstart(&overrides)?, None)?;
    let config = &experiment.config;
    let device = Device::flex();
    let autodiff = device.clone().autodiff();

    // All parameters are one vector for the optimizer.
    let model = config.new_learner(&autodiff)?;
    let mut parameters = to_vector(&config.new_learner(&device)?);
    let mut optimizer = MetaOptimizer::new(&config.optimizer);
    for (step, micro_batches) in training_batches(&experiment, 0, 1).enumerate() {
        let objective = Objective::at(config, step as u64);
        let result = meta_gradient(&model, &parameters, micro_batches, objective, &autodiff, 2);
        parameters = optimizer.step(1e-3, parameters, result.gradient.clone());
        println!("step {step}: loss {:.3}", result.figures().loss);
    }
    let trained = from_vector(config.new_learner(&device)?, &parameters);
    println!("a trained {:?}", trained.spec().last_activations());
    Ok(())
}
