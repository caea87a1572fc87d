//! Laws that hold whatever the options: what a support set means does not depend on the order
//! of its samples, on the names of its labels, on padding, or on the episodes beside it.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Bool, Device, Int, Tensor, Tolerance};
use ht_cnn::Activations;
use ht_episodes::{EpisodeBatch, QuerySet, Split, SupportSet, collate, stream};
use ht_generator::{Pass, WeightGenerator};
use ht_train::{
    Experiment, ExperimentConfig, LossConfig, Override, batch_loss, from_vector, gradient_vector,
    slots, to_vector,
};
use proptest::prelude::*;

/// Sets of options that reach every branch of the generator.
const OPTIONS: [&[&str]; 10] = [
    &[],
    &[
        "generator.allocation=output",
        "cnn.bias=true",
        "generator.norm_weights=generated",
    ],
    &[
        "generator.allocation=output",
        "cnn.bias=true",
        "generator.norm_weights=generated",
        "generator.added_weights=true",
        "generator.learned_tensors=per-pass",
    ],
    &[
        "generator.transformer.architecture=encoder-decoder",
        "generator.transformer.norm=pre",
    ],
    &[
        "generator.transformer.architecture=encoder-decoder",
        "generator.transformer.attention=sigmoid",
        "generator.transformer.feed_forward.last_block=linear",
    ],
    &[
        "generator.logits_features=flattened",
        "generator.activation_encoder.nonlinear=all-layers",
    ],
    &[
        "generator.logits_features=both",
        "generator.activation_encoder.nonlinear=logits-layer",
    ],
    &[
        "generator.learned_layers={first=1}",
        "generator.allocation=output",
        "cnn.bias=true",
    ],
    &[
        "generator.warmup_heads={steps=100}",
        "cnn.norm_statistics=support",
    ],
    &[
        "generator.sample_features=standardized",
        "generator.logits_tokens=from-labels",
        "generator.logits_start=construction",
    ],
];

/// Episodes with unlabelled images and distractors, of different sizes.
const MIXED: [&str; 3] = [
    "episodes.unlabelled={train=2,evaluation=1,distractors=1}",
    "episodes.irregular={min_ways=2,min_shots=1}",
    "episodes.shots=2",
];

fn experiment(overrides: &[&str]) -> Experiment {
    let text = include_str!("../../../configs/smoke.toml");
    let overrides: Vec<Override> = overrides
        .iter()
        .map(|o| o.parse().expect("key=value"))
        .collect();
    let config = ExperimentConfig::parse(text, "smoke.toml", &overrides).expect("valid");
    Experiment::resolve(config, None).expect("possible")
}

fn batch(experiment: &Experiment, indices: &[u64], device: &Device) -> EpisodeBatch {
    let sampler = &experiment.train_sampler;
    let plans: Vec<_> = indices
        .iter()
        .map(|&index| sampler.plan(3, Split::Train, index))
        .collect();
    collate(sampler.images(), &plans).to_device(device)
}

fn logits(model: &WeightGenerator, support: &SupportSet, query: &QuerySet) -> Tensor<3> {
    let images = Activations::from_images(query.images.clone()).hide(query.hidden.clone());
    model.generate(support).classify(images)
}

fn assert_close<const D: usize>(ours: Tensor<D>, theirs: Tensor<D>) {
    // Batch normalisation of nearly equal values enlarges rounding.
    ours.into_data()
        .assert_approx_eq::<f32>(&theirs.into_data(), Tolerance::rel_abs(2e-3, 2e-3));
}

/// Rows of the tables that speak of labels, in another order.
struct Relabel {
    path: Vec<String>,
    order: Vec<usize>,
}

impl ModuleMapper for Relabel {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let is_label_table = path.ends_with("embeddings.labels");
        let is_class_table = path == "logits.generator.embeddings.weights";
        if !is_label_table && !is_class_table {
            return param;
        }
        param.map(|table| {
            // The last row of a label table stands for "no label" and stays.
            let n_rows = table.dims()[0];
            let rows: Vec<i32> = (0..n_rows)
                .map(|row| self.order.get(row).map_or(row as i32, |&from| from as i32))
                .collect();
            let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &table.device());
            table.select(0, rows)
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn weights_do_not_depend_on_the_order_of_the_support_samples(
        option in 0..OPTIONS.len(), index in 0..1000u64, turn in 1..6usize,
    ) {
        let experiment = experiment(&[OPTIONS[option], &MIXED].concat());
        let device = Device::flex();
        let model = experiment.config.new_generator(&device).expect("valid");
        let EpisodeBatch { support, query } = batch(&experiment, &[index, index + 1], &device);
        let [_, s] = support.labels.dims();
        let order: Vec<i32> = (0..s).rev().map(|i| ((i + turn) % s) as i32).collect();
        let order = Tensor::<1, Int>::from_data(order.as_slice(), &device);
        let reordered = SupportSet {
            images: support.images.clone().select(1, order.clone()),
            labels: support.labels.clone().select(1, order.clone()),
            hidden: support.hidden.clone().map(|hidden| select_bool(hidden, order)),
            absent: support.absent.clone(),
        };
        let (ours, theirs) = (model.generate(&support), model.generate(&reordered));
        for (a, b) in ours.layers.iter().zip(&theirs.layers) {
            assert_close(a.kernel.clone(), b.kernel.clone());
            assert_close(a.scale.clone(), b.scale.clone());
        }
        assert_close(logits(&model, &support, &query), logits(&model, &reordered, &query));
    }

    #[test]
    fn relabelling_classes_with_their_embeddings_permutes_the_logits(
        option in 0..OPTIONS.len(), index in 0..1000u64, turn in 1..3usize,
    ) {
        // Added tensors belong to labels too; here only embeddings change places.
        prop_assume!(!OPTIONS[option].contains(&"generator.added_weights=true"));
        let experiment = experiment(&[OPTIONS[option], &MIXED[2..]].concat());
        let device = Device::flex();
        let model = experiment.config.new_generator(&device).expect("valid");
        let EpisodeBatch { support, query } = batch(&experiment, &[index], &device);
        let ways = experiment.config.episodes.ways;
        // Label l becomes l + turn, so row r of a table is what row r - turn was.
        let order = (0..ways).map(|row| (row + ways - turn) % ways).collect();
        let relabelled_model = model.clone().map(&mut Relabel { path: Vec::new(), order });
        let relabelled = SupportSet {
            labels: (support.labels.clone() + turn as i32).remainder_scalar(ways as i32),
            ..support.clone()
        };
        let before = logits(&model, &support, &query);
        let after = logits(&relabelled_model, &relabelled, &query);
        for label in 0..ways {
            let moved = (label + turn) % ways;
            assert_close(after.clone().narrow(2, moved, 1), before.clone().narrow(2, label, 1));
        }
    }

    #[test]
    fn padding_with_hidden_samples_changes_nothing(
        option in 0..OPTIONS.len(), index in 0..1000u64, n_padding in 1..5usize, label in 0..4i32,
    ) {
        let experiment = experiment(OPTIONS[option]);
        let device = Device::flex();
        let model = experiment.config.new_generator(&device).expect("valid");
        let EpisodeBatch { support, query } = batch(&experiment, &[index, index + 7], &device);
        // Pictures of other episodes, so that the padding would matter if it were seen.
        let other = batch(&experiment, &[index + 1, index + 2], &device).query.images;
        let padded = pad(&support, other, n_padding, label);
        assert_close(logits(&model, &padded, &query), logits(&model, &support, &query));

        let unhidden = SupportSet { hidden: None, ..padded };
        let change = logits(&model, &unhidden, &query) - logits(&model, &support, &query);
        let change: f32 = change.abs().max().into_scalar();
        prop_assert!(change > 1e-3, "the padding would have mattered: {change}");
    }

    #[test]
    fn an_episode_alone_gives_what_it_gives_in_a_meta_batch(
        option in 0..OPTIONS.len(), index in 0..1000u64,
    ) {
        let experiment = experiment(&[OPTIONS[option], &MIXED].concat());
        let device = Device::flex();
        let model = experiment.config.new_generator(&device).expect("valid");
        let indices = [index, index + 1, index + 2];
        let EpisodeBatch { support, query } = batch(&experiment, &indices, &device);
        let together = logits(&model, &support, &query);
        for (e, &index) in indices.iter().enumerate() {
            let EpisodeBatch { support, query } = batch(&experiment, &[index], &device);
            let alone = logits(&model, &support, &query);
            let [_, n_query, _] = alone.dims();
            assert_close(alone, together.clone().narrow(0, e, 1).narrow(1, 0, n_query));
        }
    }
}

fn select_bool(mask: Tensor<2, Bool>, order: Tensor<1, Int>) -> Tensor<2, Bool> {
    mask.int().select(1, order).greater_elem(0)
}

/// More samples, all hidden, with any label and pictures from elsewhere.
fn pad(support: &SupportSet, other: Tensor<5>, n_padding: usize, label: i32) -> SupportSet {
    let device = support.labels.device();
    let [e, s] = support.labels.dims();
    let labels = Tensor::full([e, n_padding], label, &device);
    let shown = Tensor::<2, Int>::zeros([e, s], &device).bool();
    let hidden = Tensor::<2, Int>::ones([e, n_padding], &device).bool();
    SupportSet {
        images: Tensor::cat(
            vec![support.images.clone(), other.narrow(1, 0, n_padding)],
            1,
        ),
        labels: Tensor::cat(vec![support.labels.clone(), labels], 1),
        hidden: Some(Tensor::cat(vec![shown, hidden], 1)),
        absent: support.absent.clone(),
    }
}

#[test]
fn each_parameter_gets_a_gradient() {
    let device = Device::flex().autodiff();
    for options in OPTIONS {
        let experiment = experiment(&[options, &MIXED].concat());
        let model = experiment.config.new_generator(&device).expect("valid");
        let model = from_vector(model.clone(), &to_vector(&model));
        let batch = batch(&experiment, &[0, 1, 2, 3], &device);
        let loss = LossConfig {
            // Some added tensors of the support pass reach nothing but these.
            squared_kernels: 1e-3,
            weight_variation: 1e-3,
            label_smoothing: 0.1,
        };
        // At step 40 of 100 both the head and the real logits count.
        let loss = batch_loss(&model, &batch, &loss, 40, &mut Pass::evaluation());
        let gradient = gradient_vector(&model, loss.total.backward());
        let gradient: Vec<f32> = gradient.into_data().iter::<f32>().collect();
        let is_per_pass = options.contains(&"generator.learned_tensors=per-pass");
        let mut start = 0;
        for slot in slots(&model) {
            let values = &gradient[start..start + slot.len()];
            start += slot.len();
            // The bias of the support pass's logits layer is thrown away with its logits.
            if is_per_pass && slot.name == "logits.added.bias" {
                continue;
            }
            let has_gradient = values.iter().any(|&value| value != 0.0);
            assert!(has_gradient, "{} under {options:?}", slot.name);
        }
    }
}

#[test]
fn released_masks_hide_keys_and_nothing_else() {
    let device = Device::flex();
    let change = |hidden_samples: &str| {
        let experiment = experiment(&[hidden_samples]);
        let model = experiment.config.new_generator(&device).expect("valid");
        let EpisodeBatch { support, query } = batch(&experiment, &[5], &device);
        let other = batch(&experiment, &[9], &device).query.images;
        let padded = pad(&support, other, 2, 0);
        let change = logits(&model, &padded, &query) - logits(&model, &support, &query);
        change.abs().max().into_scalar::<f32>()
    };
    assert!(change("generator.hidden_samples=removed") < 2e-3);
    assert!(change("generator.hidden_samples=keys-only") > 1e-2);
}

#[test]
fn dropout_acts_in_training_and_is_drawn_from_the_step() {
    let device = Device::flex();
    for place in [
        "generator.transformer.dropout=0.3",
        "generator.image_encoder.dropout=0.3",
        "generator.activation_encoder.dropout=0.3",
    ] {
        let experiment = experiment(&[place]);
        let model = experiment.config.new_generator(&device).expect("valid");
        let EpisodeBatch { support, query } = batch(&experiment, &[5], &device);
        let in_pass = |pass: &mut Pass| {
            let cnn = model.generate_in(&support, pass).cnn;
            cnn.forward(query.images.clone()).into_data()
        };
        let training = |step| in_pass(&mut Pass::training(stream(1, "dropout", step, 0)));
        let evaluation = in_pass(&mut Pass::evaluation());
        assert_ne!(training(0), evaluation, "{place}");
        assert_ne!(training(0), training(1), "{place}");
        assert_eq!(training(0), training(0), "{place}");
        assert_eq!(evaluation, in_pass(&mut Pass::evaluation()), "{place}");
    }
}
