//! Laws of a training step: micro-batches only divide the work, the vector is the model, and
//! a few episodes can be learned by heart.

use burn::tensor::Tolerance;
use ht_baselines::{Baseline, BaselineConfig};
use ht_episodes::{Split, collate};

use super::*;
use crate::{
    Experiment, ExperimentConfig, MetaOptimizer, OptimizerConfig, Override, slots, to_vector,
};

fn experiment(overrides: &[&str]) -> Experiment {
    let text = include_str!("../../../../configs/smoke.toml");
    let overrides: Vec<Override> = overrides
        .iter()
        .map(|o| o.parse().expect("key=value"))
        .collect();
    let config = ExperimentConfig::parse(text, "smoke.toml", &overrides).expect("valid");
    Experiment::resolve(config, None).expect("possible")
}

fn objective() -> Objective {
    Objective {
        of: TrainingObjective::Episodes,
        loss: LossConfig::default(),
        step: 0,
        seed: 1,
    }
}

fn batches(experiment: &Experiment, sizes: &[u64]) -> Vec<CollatedBatch> {
    let sampler = &experiment.train_sampler;
    let mut next = 0;
    sizes
        .iter()
        .map(|&size| {
            let plans: Vec<_> = (next..next + size)
                .map(|index| sampler.plan(1, Split::Train, index))
                .collect();
            next += size;
            collate(sampler.images(), &plans)
        })
        .collect()
}

#[test]
fn micro_batches_only_divide_the_work() {
    let experiment = experiment(&[]);
    let device = Device::flex().autodiff();
    let model = experiment.config.new_learner(&device).expect("valid");
    let parameters = to_vector(&model);
    let step = |sizes: &[u64], n_threads| {
        let batches = batches(&experiment, sizes);
        meta_gradient(
            &model,
            &parameters,
            batches,
            objective(),
            &device,
            n_threads,
        )
    };
    let whole = step(&[6], 1);
    let divided = step(&[3, 2, 1], 2);
    let [of_whole, of_divided] = [&whole, &divided].map(StepResult::figures);
    assert!((of_whole.loss - of_divided.loss).abs() < 1e-5);
    assert!((of_whole.accuracy - of_divided.accuracy).abs() < 1e-6);
    divided
        .gradient
        .clone()
        .into_data()
        .assert_approx_eq::<f32>(&whole.gradient.into_data(), Tolerance::absolute(1e-4));
    let again = step(&[3, 2, 1], 5);
    let same_bits = again.gradient.into_data();
    divided.gradient.into_data().assert_eq(&same_bits, true);
}

#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    let smooth = "generator.transformer.feed_forward.activation=gelu";
    let experiment = experiment(&[smooth, "cnn.pooling=none", "cnn.features=flatten"]);
    let device = Device::flex().autodiff();
    let model = experiment.config.new_learner(&device).expect("valid");
    let parameters = to_vector(&model);
    let at = |parameters: &Tensor<1>| {
        meta_gradient(
            &model,
            parameters,
            batches(&experiment, &[4]),
            objective(),
            &device,
            1,
        )
    };
    let start = at(&parameters);
    let slope: f64 = start.gradient.clone().square().sum().into_scalar();
    let small = 1e-3 / slope.sqrt();
    let direction = start.gradient * (small / slope.sqrt());
    let ahead = at(&(parameters.clone() + direction.clone())).figures().loss;
    let behind = at(&(parameters - direction)).figures().loss;
    let measured = (ahead - behind) / (2.0 * small);
    let expected = slope.sqrt();
    assert!(
        (measured - expected).abs() < 0.05 * expected,
        "{measured} against {expected}"
    );
}

#[test]
fn the_class_head_alone_moves_the_image_encoder_and_itself() {
    let head = "generator.class_head={classes=20}";
    let experiment = experiment(&[head, "training.objective=class-head"]);
    let device = Device::flex().autodiff();
    let model = experiment.config.new_learner(&device).expect("valid");
    let parameters = to_vector(&model);
    let mut objective = objective();
    objective.of = TrainingObjective::ClassHead;
    let step = |sizes: &[u64]| {
        let batches = batches(&experiment, sizes);
        meta_gradient(&model, &parameters, batches, objective, &device, 2)
    };
    let result = step(&[6]);
    let gradient: Vec<f32> = result.gradient.to_data().iter().collect();
    let mut start = 0;
    for slot in slots(&model) {
        let values = &gradient[start..start + slot.len()];
        start += slot.len();
        let is_moved = values.iter().any(|&value| value != 0.0);
        let of_encoder = slot.name.starts_with("image_encoder");
        let expected = of_encoder || slot.name.starts_with("class_head");
        assert_eq!(is_moved, expected, "{}", slot.name);
    }
    // The bias of class r has the gradient mean(p_r) - share of class r, whose sum is zero; the
    // loss of untrained logits is near ln 20.
    let bias = &gradient[gradient.len() - 20..];
    assert!(bias.iter().sum::<f32>().abs() < 1e-5, "{bias:?}");
    let loss = result.figures().loss;
    assert!((loss - 20f64.ln()).abs() < 0.7, "{loss}");
    let divided = step(&[1, 5]).figures().loss;
    assert!((loss - divided).abs() < 1e-5, "{loss} {divided}");
}

#[test]
fn a_step_without_any_sample_is_no_step() {
    let head = "generator.class_head={classes=20}";
    for objective_of in ["training.objective=class-head", "loss.class_head=0.5"] {
        let removed = "episodes.removal={labelled=1.0}";
        let experiment = experiment(&[head, objective_of, removed, "episodes.ways=2"]);
        let device = Device::flex().autodiff();
        let model = experiment.config.new_learner(&device).expect("valid");
        let parameters = to_vector(&model);
        let mut objective = Objective::at(&experiment.config, 0);
        objective.loss.class_head = 0.5;
        // Some of these episodes have lost both samples.
        let batches = batches(&experiment, &[1; 30]);
        assert!(batches.iter().any(|batch| batch.n_support() == 0));
        let lost: Vec<_> = batches.into_iter().filter(|b| b.n_support() == 0).collect();
        let result = meta_gradient(&model, &parameters, lost, objective, &device, 1);
        assert!(result.figures().loss.is_finite());
        let gradient: Vec<f32> = result.gradient.into_data().iter().collect();
        assert!(gradient.iter().all(|value| value.is_finite()));
    }
}

/// Otherwise micro-batches would be weighted wrongly, and no accuracy could be 100 %.
#[test]
fn fine_tuning_counts_the_images_that_it_classifies() {
    let experiment = experiment(&[
        "episodes.shots=2",
        "episodes.unlabelled={train=2,evaluation=1,distractors=1}",
        "episodes.irregular={min_ways=2,min_shots=1}",
        "episodes.removal={labelled=0.5}",
    ]);
    let device = Device::flex();
    let config = BaselineConfig::FineTune {
        classes: 20,
        steps: 1,
        rate: 0.5,
        decay: 0.01,
    };
    let spec = experiment.config.cnn_spec().expect("fits");
    let model = Baseline::new(&config, &spec, 1, &device).expect("valid");
    let learner = Learner::Baseline(model.clone());
    for batch in batches(&experiment, &[1, 2, 4]) {
        let n_images = objective().n_images(&learner, &batch);
        assert!(n_images < batch.n_support() + batch.n_query());
        let hidden = model.classify(&batch.to_device(&device)).hidden;
        let hidden = hidden.expect("unlabelled images").into_data();
        let n_classified = hidden.iter::<bool>().filter(|hidden| !hidden).count();
        assert_eq!(n_images, n_classified);
    }
}

#[test]
fn the_vector_is_the_model() {
    let experiment = experiment(&[]);
    let device = Device::flex();
    let model = experiment.config.new_learner(&device).expect("valid");
    let vector = to_vector(&model);
    let slots = slots(&model);
    let n_values: usize = slots.iter().map(crate::ParameterSlot::len).sum();
    assert_eq!(vector.dims(), [n_values]);
    let n_slots = slots.len();
    let mut names: Vec<_> = slots.into_iter().map(|slot| slot.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), n_slots, "names are unique");
    let named = "layers.0.generator.transformer.blocks.0.feed_forward.inner.weight";
    assert!(names.iter().any(|name| name == named), "{names:?}");
    let doubled = from_vector(model, &(vector.clone() * 2.0));
    to_vector(&doubled)
        .into_data()
        .assert_eq(&(vector * 2.0).into_data(), true);
}

#[test]
fn sgd_by_hand_and_the_first_step_of_adam() {
    let device = Device::flex();
    let vector = |values: [f32; 2]| Tensor::<1>::from_data(values, &device);
    let sgd: OptimizerConfig = toml::from_str("rule = 'sgd'").expect("valid");
    let updated = MetaOptimizer::new(&sgd).step(0.5, vector([1.0, 2.0]), vector([0.2, -4.0]));
    updated
        .into_data()
        .assert_approx_eq::<f32>(&vector([0.9, 4.0]).into_data(), Tolerance::absolute(1e-6));
    let adam = experiment(&[]).config.optimizer;
    let updated = MetaOptimizer::new(&adam).step(0.5, vector([1.0, 2.0]), vector([0.2, -4.0]));
    updated
        .into_data()
        .assert_approx_eq::<f32>(&vector([0.5, 2.5]).into_data(), Tolerance::absolute(1e-4));
}

#[test]
fn a_few_episodes_can_be_learned_by_heart() {
    let pre = "generator.transformer.norm=pre";
    let experiment = experiment(&[pre, "cnn.channels=6", "cnn.features=flatten"]);
    let device = Device::flex().autodiff();
    let model = experiment.config.new_learner(&device).expect("valid");
    let mut parameters = to_vector(&model);
    let mut optimizer = MetaOptimizer::new(&experiment.config.optimizer);
    let mut losses = Vec::new();
    for _ in 0..150 {
        let result = meta_gradient(
            &model,
            &parameters,
            batches(&experiment, &[3]),
            objective(),
            &device,
            1,
        );
        losses.push(result.figures().loss);
        parameters = optimizer.step(1e-2, parameters, result.gradient);
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(first > 0.8 && last < 0.05, "{first} to {last}");
}
