//! The pass of the support images: their statistics are those of the images they are said to be of.

use burn::tensor::{Device, TensorData, Tolerance};

use super::*;
use crate::{CnnConfig, GeneratedCnn, Geometry, LogitsWeights};

const SIDE: usize = 28;

/// Values that look random and are the same everywhere.
fn wave<const D: usize>(shape: [usize; D], phase: f32, device: &Device) -> Tensor<D> {
    let n_values = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..n_values)
        .map(|i| ((i as f32 * 12.9898 + phase).sin() * 7.31).sin())
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn spec(norm_statistics: NormStatistics) -> CnnSpec {
    let config = CnnConfig {
        norm_statistics,
        ..CnnConfig::default()
    };
    let image = Geometry {
        channels: 1,
        height: SIDE,
        width: SIDE,
    };
    CnnSpec::new(&config, image, 5).expect("fits")
}

fn weights(spec: &CnnSpec, device: &Device) -> Vec<LayerWeights> {
    let layers = spec.layers.iter().enumerate();
    let weights = layers.map(|(l, layer)| {
        let (o, i, f) = (layer.output.channels, layer.input.channels, layer.kernel);
        LayerWeights {
            kernel: wave([2, o, i, f, f], l as f32, device),
            bias: None,
            scale: wave([2, o], l as f32 + 0.2, device) + 1.5,
            shift: wave([2, o], l as f32 + 0.3, device),
        }
    });
    weights.collect()
}

/// The statistics of each layer, and the images behind the last one.
fn passed(
    statistics: NormStatistics,
    images: &Tensor<5>,
    hidden: Option<Tensor<2, Bool>>,
) -> (Option<Vec<BatchStatistics>>, Activations) {
    let spec = spec(statistics);
    let mut pass = SupportPass::new(&spec, images.clone(), hidden);
    for weights in &weights(&spec, &images.device()) {
        pass.apply(weights, None);
    }
    let activations = pass.activations().clone();
    (pass.into_statistics(), activations)
}

fn near<const D: usize>(ours: &Tensor<D>, expected: &Tensor<D>) {
    let (ours, expected) = (ours.to_data(), expected.to_data());
    ours.assert_approx_eq::<f32>(&expected, Tolerance::absolute(2e-3));
}

fn all_near(ours: Option<Vec<BatchStatistics>>, expected: Option<Vec<BatchStatistics>>) {
    let (ours, expected) = (ours.expect("kept"), expected.expect("kept"));
    assert_eq!(ours.len(), expected.len());
    for (ours, expected) in ours.iter().zip(&expected) {
        near(&ours.mean, &expected.mean);
        near(&ours.variance, &expected.variance);
    }
}

#[test]
fn the_statistics_are_those_of_the_support_images() {
    let device = Device::flex();
    let images = wave([2, 6, 1, SIDE, SIDE], 0.4, &device);
    let spec = spec(NormStatistics::Support);
    let (statistics, activations) = passed(NormStatistics::Support, &images, None);
    let (none, own_batch) = passed(NormStatistics::QueryBatch, &images, None);
    assert!(none.is_none());
    near(&activations.into_images(), &own_batch.into_images());

    // A CNN that is given them says of these images what their own statistics say, ..
    let mut cnn = GeneratedCnn {
        layers: weights(&spec, &device),
        logits: LogitsWeights {
            kernel: wave([2, spec.ways, spec.n_features()], 9.0, &device),
            bias: wave([2, spec.ways], 9.5, &device),
        },
        spec,
        statistics: None,
        absent: None,
    };
    let own_batch = cnn.forward(images.clone());
    cnn.statistics = statistics;
    let given = cnn.forward(images.clone());
    near(&given, &own_batch);
    // .. and of each of them the same without its neighbours.
    let alone = cnn.forward(images.narrow(1, 0, 1));
    near(&alone, &given.narrow(1, 0, 1));
}

#[test]
fn a_prior_counts_as_its_images() {
    let device = Device::flex();
    let images = wave([2, 6, 1, SIDE, SIDE], 0.4, &device);
    let spec = spec(NormStatistics::Support);
    let first = &weights(&spec, &device)[0];
    let after_one = |images: Tensor<5>, prior: Option<&PriorStatistics>, hidden| {
        let mut pass = SupportPass::new(&spec, images, hidden);
        pass.apply(first, prior);
        let activations = pass.activations().clone().into_images();
        (pass.into_statistics(), activations)
    };
    let (others, _) = after_one(images.clone().narrow(1, 2, 4), None, None);
    let prior = PriorStatistics {
        statistics: others.expect("kept").remove(0),
        n_images: Tensor::from_data([4.0], &device),
    };
    let (expected, activations) = after_one(images.clone(), None, None);
    let (ours, ours_after) = after_one(images.clone().narrow(1, 0, 2), Some(&prior), None);
    all_near(ours, expected.clone());
    near(&ours_after, &activations.narrow(1, 0, 2));
    // Hidden images are none to weigh it against.
    let hidden = Tensor::from_data([[false, false, true, true, true, true]; 2], &device);
    let (ours, _) = after_one(images, Some(&prior), Some(hidden));
    all_near(ours, expected);
}
