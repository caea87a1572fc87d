//! What each method is, held against a definition by other means.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, Tolerance};
use ht_cnn::{CnnConfig, CnnSpec, Features, Geometry, NormStatistics};
use ht_episodes::{
    ClassRotation, ClassSplit, EpisodeBatch, EpisodeSampler, EpisodeSpec, ImageSource, Irregular,
    Split, SplitConfig, collate,
};

use crate::baseline::Classified;
use crate::{Baseline, BaselineConfig, InnerSteps};

fn spec(norm_statistics: NormStatistics) -> CnnSpec {
    let image = Geometry {
        channels: 1,
        height: 16,
        width: 16,
    };
    let cnn = CnnConfig {
        channels: 5,
        depth: 2,
        features: Features::Flatten,
        norm_statistics,
        ..CnnConfig::default()
    };
    CnnSpec::new(&cnn, image, 4).expect("fits")
}

fn batch(irregular: bool, device: &Device) -> EpisodeBatch {
    let source = "source = 'glyphs'\nclasses = 20\nsamples = 8\nimage_size = 16\nseed = 1";
    let source: ImageSource = toml::from_str(source).expect("valid");
    let images = Arc::new(source.load(None).expect("drawn"));
    let split = SplitConfig::Seed {
        seed: 0,
        validation: 4,
        test: 4,
    };
    let split = ClassSplit::new(&split, &images).expect("enough classes");
    let size = EpisodeSpec {
        irregular: irregular.then_some(Irregular {
            min_ways: 2,
            max_ways: None,
            min_shots: 1,
        }),
        ..EpisodeSpec::new(4, 3, 4)
    };
    let sampler = EpisodeSampler::new(images, split, size, ClassRotation::None).expect("possible");
    let plans: Vec<_> = (0..3)
        .map(|index| sampler.plan(3, Split::Train, index))
        .collect();
    collate(sampler.images(), &plans).to_device(device)
}

fn baseline(config: BaselineConfig, norm_statistics: NormStatistics, device: &Device) -> Baseline {
    Baseline::new(&config, &spec(norm_statistics), 1, device).expect("valid")
}

fn inner(steps: usize) -> InnerSteps {
    InnerSteps { steps, rate: 0.1 }
}

fn fine_tune(steps: usize) -> BaselineConfig {
    BaselineConfig::FineTune {
        classes: 12,
        steps,
        rate: 0.5,
        decay: 0.01,
    }
}

fn close<const D: usize>(a: Tensor<D>, b: Tensor<D>) {
    a.into_data()
        .assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(2e-4));
}

#[test]
fn the_nearest_mean_has_the_largest_logit() {
    let device = Device::flex();
    for irregular in [false, true] {
        let EpisodeBatch { support, query, .. } = batch(irregular, &device);
        let model = baseline(
            BaselineConfig::ProtoNet {},
            NormStatistics::Support,
            &device,
        );
        let cnn = model.adapt(&support);
        // Distances by hand, on the features of a logits layer that is the identity.
        let n_features = cnn.spec.n_features();
        let [e, n, _] = cnn.logits.kernel.dims();
        let mut eyes = cnn.clone();
        eyes.logits.kernel = Tensor::<2>::eye(n_features, &device)
            .unsqueeze::<3>()
            .expand([e, n_features, n_features]);
        eyes.logits.bias = Tensor::zeros([e, n_features], &device);
        eyes.absent = None;
        let values = |t: Tensor<3>| t.into_data().iter::<f32>().collect::<Vec<_>>();
        let features = |images| values(eyes.forward(images));
        let (of_support, of_query) = (
            features(support.images.clone()),
            features(query.images.clone()),
        );
        let logits = values(cnn.forward(query.images.clone()));
        let labels: Vec<i64> = support.labels.clone().into_data().iter().collect();
        let hidden: Vec<bool> = match &support.hidden {
            Some(hidden) => hidden.clone().into_data().iter().collect(),
            None => vec![false; labels.len()],
        };
        let (s, q) = (labels.len() / e, of_query.len() / n_features / e);
        for episode in 0..e {
            let mean = |label: usize| -> Option<Vec<f32>> {
                let rows: Vec<&[f32]> = (episode * s..(episode + 1) * s)
                    .filter(|&at| labels[at] == label as i64 && !hidden[at])
                    .map(|at| &of_support[at * n_features..][..n_features])
                    .collect();
                let of = |k: usize| rows.iter().map(|row| row[k]).sum::<f32>() / rows.len() as f32;
                (!rows.is_empty()).then(|| (0..n_features).map(of).collect())
            };
            let means: Vec<_> = (0..n).map(mean).collect();
            for image in episode * q..(episode + 1) * q {
                let feature = &of_query[image * n_features..][..n_features];
                let distance = |mean: &Vec<f32>| -> f32 {
                    mean.iter().zip(feature).map(|(a, b)| (a - b).powi(2)).sum()
                };
                let distances: Vec<_> = means.iter().map(|m| m.as_ref().map(distance)).collect();
                let logits = &logits[image * n..][..n];
                let size: f32 = feature.iter().map(|x| x * x).sum();
                for (logit, distance) in logits.iter().zip(&distances) {
                    match distance {
                        Some(distance) => {
                            let apart = (logit - (size - distance)).abs();
                            assert!(apart < 1e-2 * size.max(1.0), "{logit} {distance} {size}");
                        }
                        None => assert!(*logit < -1e8),
                    }
                }
            }
        }
    }
}

#[test]
fn a_class_of_which_nothing_is_shown_stands_in_the_middle() {
    let device = Device::flex();
    let EpisodeBatch { mut support, .. } = batch(false, &device);
    // All samples of label 2 lose it.
    let lost = support.labels.clone().equal_elem(2);
    support.labels = support.labels.clone().mask_fill(lost, 4);
    let model = baseline(
        BaselineConfig::ProtoNet {},
        NormStatistics::Support,
        &device,
    );
    let means = model.adapt(&support).logits.kernel / 2.0;
    let others = [0, 1, 3].map(|label| means.clone().narrow(1, label, 1));
    close(
        means.narrow(1, 2, 1),
        Tensor::cat(others.into(), 1).mean_dim(1),
    );
}

#[test]
fn fine_tuning_does_not_learn_what_may_not_be_labelled() {
    let device = Device::flex();
    let mut batch = batch(false, &device);
    let model = baseline(fine_tune(1), NormStatistics::QueryBatch, &device);
    assert_eq!(hidden(&model.classify(&batch)), 0);
    let first = batch.support.labels.clone().equal_elem(0);
    batch.support.labels = batch.support.labels.clone().mask_fill(first, 4);
    // Three shots of label 0 in each of three episodes.
    assert_eq!(hidden(&model.classify(&batch)), 9);
}

fn hidden(classified: &Classified) -> usize {
    let hidden = classified.hidden.clone().map(Tensor::into_data);
    hidden.map_or(0, |mask| {
        mask.iter::<bool>().filter(|&hidden| hidden).count()
    })
}

#[test]
fn a_step_of_maml_is_one_of_anil_in_the_logits_layer() {
    // Both start from the same parameters; the first step of the logits layer is taken at the
    // same features. One has it from autodiff, the other from the formula.
    let device = Device::flex();
    for irregular in [false, true] {
        let support = batch(irregular, &device).support;
        let statistics = NormStatistics::QueryBatch;
        let maml = baseline(BaselineConfig::Maml(inner(1)), statistics, &device).adapt(&support);
        let anil = baseline(BaselineConfig::Anil(inner(1)), statistics, &device).adapt(&support);
        close(maml.logits.kernel, anil.logits.kernel);
        close(maml.logits.bias, anil.logits.bias);
        // The convolutions moved as well, each episode's by itself.
        let moved = maml.layers[0].kernel.clone() - anil.layers[0].kernel.clone();
        let by_episode = moved.abs().sum_dim(4).sum_dim(3).sum_dim(2).sum_dim(1);
        let by_episode: Vec<f32> = by_episode.into_data().iter().collect();
        assert!(
            by_episode.iter().all(|&moved| moved > 1e-4),
            "{by_episode:?}"
        );
        assert!(by_episode[0].to_bits() != by_episode[1].to_bits());
    }
}

#[test]
fn each_episode_adapts_as_if_it_were_alone() {
    let device = Device::flex();
    let EpisodeBatch { support, .. } = batch(false, &device);
    for config in [
        BaselineConfig::ProtoNet {},
        BaselineConfig::Maml(inner(3)),
        BaselineConfig::Anil(inner(3)),
        fine_tune(5),
    ] {
        let model = baseline(config, NormStatistics::Support, &device);
        let together = model.adapt(&support);
        for episode in 0..3 {
            let alone = ht_episodes::SupportSet::new(
                support.images.clone().narrow(0, episode, 1),
                support.labels.clone().narrow(0, episode, 1),
            );
            let alone = model.adapt(&alone);
            let part = together.logits.kernel.clone().narrow(0, episode, 1);
            close(alone.logits.kernel, part);
            let part = together.layers[1].kernel.clone().narrow(0, episode, 1);
            close(alone.layers[1].kernel.clone(), part);
        }
    }
}

#[test]
fn fitting_lowers_the_loss_on_the_support_set() {
    let device = Device::flex();
    let EpisodeBatch { support, .. } = batch(false, &device);
    let right = |config: BaselineConfig| -> f32 {
        let model = baseline(config, NormStatistics::QueryBatch, &device);
        let logits = model.adapt(&support).forward(support.images.clone());
        let [e, s, _] = logits.dims();
        let found = logits.argmax(2).reshape([e, s]);
        found
            .equal(support.labels.clone())
            .float()
            .mean()
            .into_scalar()
    };
    let few = right(BaselineConfig::Maml(inner(1)));
    let many = right(BaselineConfig::Maml(inner(20)));
    assert!(many > few.max(0.8), "{few} {many}");
    assert!(right(fine_tune(200)) > 0.8);
}

#[test]
fn training_reaches_every_parameter() {
    use burn::module::{Module, ModuleVisitor, Param};
    struct Sizes<'a>(&'a burn::tensor::Gradients, Vec<f32>);
    impl ModuleVisitor for Sizes<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = param.val().grad(self.0).expect("a gradient");
            self.1.push(gradient.abs().max().into_scalar());
        }
    }
    let device = Device::flex().autodiff();
    let batch = batch(true, &device);
    for config in [
        BaselineConfig::ProtoNet {},
        BaselineConfig::Maml(inner(2)),
        BaselineConfig::Anil(inner(2)),
        fine_tune(5),
    ] {
        let model = baseline(config, NormStatistics::Support, &device);
        let Classified { logits, labels, .. } = model.classify(&batch);
        let labels = labels.unsqueeze_dim::<3>(2);
        let chosen = burn::tensor::activation::log_softmax(logits, 2).gather(2, labels);
        let gradients = chosen.clamp_min(-20.0).mean().neg().backward();
        let mut sizes = Sizes(&gradients, Vec::new());
        model.visit(&mut sizes);
        assert!(
            sizes.1.iter().all(|&size| size > 0.0),
            "{config:?}: {:?}",
            sizes.1
        );
    }
}

#[test]
fn numbers_out_of_range_are_named() {
    let check = |config: BaselineConfig, expected: &str| {
        let error = config
            .check(&spec(NormStatistics::Support))
            .expect_err("wrong")
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(BaselineConfig::Maml(inner(0)), "baseline.steps is 0");
    let rate = InnerSteps {
        steps: 1,
        rate: -1.0,
    };
    check(BaselineConfig::Anil(rate), "baseline.rate is -1");
    let decay = BaselineConfig::FineTune {
        classes: 3,
        steps: 1,
        rate: 2.0,
        decay: 0.5,
    };
    check(decay, "baseline.decay is 0.5");
}
