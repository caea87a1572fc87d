//! Laws that hold whatever the options: what a support set means does not depend on the order
//! of its samples, on the names of its labels, on padding, or on the episodes beside it.

mod mappers;

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Int, Tensor};
use ht_cnn::Activations;
use ht_episodes::{EpisodeBatch, QuerySet, Split, SupportSet, collate, stream};
use ht_generator::{Pass, WeightGenerator};
use ht_train::{
    Experiment, ExperimentConfig, LossConfig, Override, batch_loss, from_vector, gradient_vector,
    slots, to_vector,
};
use proptest::prelude::*;
use toml::{Table, Value};

use crate::mappers::{OffStart, Relabel};

/// Sets of options that reach every branch of the generator; a key alone leaves its section out.
const OPTIONS: [&[&str]; 20] = [
    &[],
    &["generator.image_encoder"],
    &["generator.activation_encoder"],
    &["generator.transformer.feed_forward"],
    &["generator.learned_layers={last=1}"],
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
        "generator.norm_prior=true",
    ],
    &[
        "generator.sample_features=standardized",
        "generator.logits_tokens=from-labels",
        "generator.logits_start=construction",
    ],
    &[
        "generator.class_head={classes=20}",
        "loss.class_head=0.5",
        "generator.activation_encoder.depth=3",
    ],
    &["generator.activation_encoder.depth=1"],
    &["generator.logits_base=class-means"],
    &["generator.sample_tokens=class-means"],
    &[
        "generator.sample_tokens=class-means",
        "generator.convolution_base=learned",
        "generator.convolution_features=grid",
        "generator.allocation=output",
        "generator.norm_weights=generated",
        "cnn.bias=true",
    ],
    &[
        "generator.logits_base=class-means",
        "generator.added_weights=true",
        "generator.learned_tensors=per-pass",
    ],
];

/// Episodes with unlabelled images and distractors, of different sizes.
const MIXED: [&str; 3] = [
    "episodes.unlabelled={train=2,evaluation=1,distractors=1}",
    "episodes.irregular={min_ways=2,min_shots=1}",
    "episodes.shots=2",
];

fn experiment(options: &[&str]) -> Experiment {
    let text = include_str!("../../../../configs/smoke.toml");
    let mut table: Table = toml::from_str(text).expect("TOML");
    let (overrides, left_out): (Vec<&str>, Vec<&str>) =
        options.iter().partition(|option| option.contains('='));
    for key in left_out {
        leave_out(&mut table, key);
    }
    let overrides: Vec<Override> = overrides
        .iter()
        .map(|o| o.parse().expect("key=value"))
        .collect();
    let text = table.to_string();
    let config = ExperimentConfig::parse(&text, "smoke.toml", &overrides).expect("valid");
    Experiment::resolve(config, None).expect("possible")
}

fn leave_out(table: &mut Table, key: &str) {
    match key.split_once('.') {
        None => assert!(table.remove(key).is_some(), "no section {key}"),
        Some((section, rest)) => {
            let section = table.get_mut(section).and_then(Value::as_table_mut);
            leave_out(section.expect("a section"), rest);
        }
    }
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

/// Two results are the same, under the named options.
fn assert_close<const D: usize>(options: &[&str], ours: Tensor<D>, theirs: Tensor<D>) {
    assert_eq!(ours.dims(), theirs.dims(), "{options:?}");
    let [ours, theirs] = [ours, theirs].map(Tensor::into_data);
    for (a, b) in ours.iter::<f32>().zip(theirs.iter::<f32>()) {
        // Batch normalisation of nearly equal values enlarges rounding.
        let is_close = (a - b).abs() <= 2e-3 * a.abs().max(b.abs()).max(1.0);
        assert!(is_close, "{a} against {b} under {options:?}");
    }
}

/// A model as training has it, and not at its start: there nothing generated is added to class
/// means.
fn new_model(experiment: &Experiment, device: &Device) -> WeightGenerator {
    let model = experiment.config.new_generator(device).expect("valid");
    model.map(&mut OffStart::default())
}

// Each case runs all options, so a few cases are many.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(2))]

    #[test]
    fn weights_do_not_depend_on_the_order_of_the_support_samples(
        index in 0..1000u64, turn in 1..6usize,
    ) {
        for options in OPTIONS {
            let experiment = experiment(&[options, &MIXED].concat());
            let device = Device::flex();
            let model = new_model(&experiment, &device);
            let EpisodeBatch { support, query, .. } = batch(&experiment, &[index, index + 1], &device);
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
                assert_close(options, a.kernel.clone(), b.kernel.clone());
                assert_close(options, a.scale.clone(), b.scale.clone());
            }
            let ours = logits(&model, &support, &query);
            assert_close(options, ours, logits(&model, &reordered, &query));
        }
    }

    #[test]
    fn relabelling_classes_with_all_that_is_theirs_permutes_the_logits(
        index in 0..1000u64, turn in 1..3usize,
    ) {
        // It holds with added tensors because the logits layer's change places too; those of
        // the convolutions belong to no label. Warm-up heads are no part of the logits.
        for options in OPTIONS {
            let experiment = experiment(&[options, &MIXED].concat());
            let device = Device::flex();
            let model = new_model(&experiment, &device);
            let EpisodeBatch { support, query, .. } = batch(&experiment, &[index, index + 1], &device);
            let ways = experiment.config.episodes.ways;
            // Label l becomes l + turn, so row r of a table is what row r - turn was.
            let order: Vec<usize> = (0..ways).map(|row| (row + ways - turn) % ways).collect();
            let columns: Vec<i32> = order.iter().map(|&from| from as i32).collect();
            let columns = Tensor::<1, Int>::from_data(columns.as_slice(), &device);
            let relabelled_model = model.clone().map(&mut Relabel::new(order));
            // "No label" stays what it is.
            let is_labelled = support.labels.clone().lower_elem(ways as i32);
            let moved = (support.labels.clone() + turn as i32).remainder_scalar(ways as i32);
            let absent = support.absent.clone();
            let relabelled = SupportSet {
                labels: support.labels.clone().mask_where(is_labelled, moved),
                absent: absent.map(|absent| select_bool(absent, columns)),
                ..support.clone()
            };
            let before = logits(&model, &support, &query);
            let after = logits(&relabelled_model, &relabelled, &query);
            for label in 0..ways {
                let moved = after.clone().narrow(2, (label + turn) % ways, 1);
                assert_close(options, moved, before.clone().narrow(2, label, 1));
            }
        }
    }

    #[test]
    fn padding_with_hidden_samples_changes_nothing(
        index in 0..1000u64, n_padding in 1..5usize, label in 0..4i32,
    ) {
        for options in OPTIONS {
            let experiment = experiment(options);
            let device = Device::flex();
            let model = new_model(&experiment, &device);
            let EpisodeBatch { support, query, .. } = batch(&experiment, &[index, index + 7], &device);
            // Pictures of other episodes, so that the padding would matter if it were seen.
            let other = batch(&experiment, &[index + 1, index + 2], &device).query.images;
            let padded = pad(&support, other, n_padding, label);
            let plain = logits(&model, &support, &query);
            assert_close(options, logits(&model, &padded, &query), plain.clone());

            let unhidden = SupportSet { hidden: None, ..padded };
            let change = logits(&model, &unhidden, &query) - plain;
            let change: f32 = change.abs().max().into_scalar();
            prop_assert!(change > 1e-3, "it would have mattered: {change} under {options:?}");
        }
    }

    #[test]
    fn an_episode_alone_gives_what_it_gives_in_a_meta_batch(index in 0..1000u64) {
        for options in OPTIONS {
            let experiment = experiment(&[options, &MIXED].concat());
            let device = Device::flex();
            let model = new_model(&experiment, &device);
            let indices = [index, index + 1, index + 2];
            let EpisodeBatch { support, query, .. } = batch(&experiment, &indices, &device);
            let together = logits(&model, &support, &query);
            for (e, &index) in indices.iter().enumerate() {
                let EpisodeBatch { support, query, .. } = batch(&experiment, &[index], &device);
                let alone = logits(&model, &support, &query);
                let [_, n_query, _] = alone.dims();
                let part = together.clone().narrow(0, e, 1).narrow(1, 0, n_query);
                assert_close(options, alone, part);
            }
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
        let model = new_model(&experiment, &device);
        let model = from_vector(model.clone(), &to_vector(&model));
        let batch = batch(&experiment, &[0, 1, 2, 3], &device);
        let loss = LossConfig {
            // Some added tensors of the support pass reach nothing but these.
            squared_kernels: 1e-3,
            weight_variation: 1e-3,
            label_smoothing: 0.1,
            class_head: 0.5,
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
fn absent_labels_have_no_probability_in_the_warm_up_heads() {
    let device = Device::flex();
    let experiment = experiment(&[&["generator.warmup_heads={steps=100}"][..], &MIXED].concat());
    let model = new_model(&experiment, &device);
    let batch = batch(&experiment, &[0, 1, 2, 3, 4, 5, 6, 7], &device);
    let config = LossConfig {
        squared_kernels: 1.0,
        ..LossConfig::default()
    };
    let loss = batch_loss(&model, &batch, &config, 40, &mut Pass::evaluation());
    // Two convolutions, the logits layer and the head.
    assert_eq!(loss.penalties.len(), 4);
    assert_eq!(loss.head_logits.len(), 1);
    let absent = batch.support.absent.expect("episodes of two ways");
    let absent = absent.unsqueeze_dim::<3>(1).expand(loss.logits.dims());
    for logits in [&loss.logits, &loss.head_logits[0]] {
        let shares = softmax(logits.clone(), 2);
        let of_absent = shares.clone().mask_fill(absent.clone().bool_not(), 0.0);
        let of_present = shares.mask_fill(absent.clone(), 1.0);
        let most: f32 = of_absent.max().into_scalar();
        let least: f32 = of_present.min().into_scalar();
        assert!(most < 1e-30 && least > 0.0, "{most} {least}");
    }
}

#[test]
fn released_masks_hide_keys_and_nothing_else() {
    let device = Device::flex();
    let change = |hidden_samples: &str| {
        let experiment = experiment(&[hidden_samples]);
        let model = new_model(&experiment, &device);
        let EpisodeBatch { support, query, .. } = batch(&experiment, &[5], &device);
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
    let of_input = "generator.activation_encoder.dropout=0.3";
    let places: [&[&str]; 4] = [
        &["generator.transformer.dropout=0.3"],
        &["generator.image_encoder.dropout=0.3"],
        &[of_input],
        // Here the flattened input of the logits layer is all that it can act on.
        &[
            of_input,
            "generator.logits_features=flattened",
            "generator.learned_layers={first=2}",
        ],
    ];
    for place in places {
        let experiment = experiment(place);
        let model = new_model(&experiment, &device);
        let EpisodeBatch { support, query, .. } = batch(&experiment, &[5], &device);
        let in_pass = |pass: &mut Pass| {
            let cnn = model.generate_in(&support, pass).cnn;
            cnn.forward(query.images.clone()).into_data()
        };
        let training = |step| in_pass(&mut Pass::training(stream(1, "dropout", step, 0)));
        let evaluation = in_pass(&mut Pass::evaluation());
        assert_ne!(training(0), evaluation, "{place:?}");
        assert_ne!(training(0), training(1), "{place:?}");
        assert_eq!(training(0), training(0), "{place:?}");
        assert_eq!(evaluation, in_pass(&mut Pass::evaluation()), "{place:?}");
    }
}
