//! The weights that a method writes for many episodes, on the host: what the kernels' figures,
//! their spread and their map are made of.

use burn::tensor::{Device, Tensor};
use ht_episodes::{EpisodeBatch, EpisodePlan, ImageSet, collate};
use ht_train::Learner;

/// Episodes per pass.
pub(super) const EPISODES_PER_PASS: usize = 8;

/// The kernels of one layer of several episodes' CNNs. Biases, scales and shifts are left out.
#[derive(Clone, Debug)]
pub(super) struct LayerKernels {
    /// `layer 1`, `logits`.
    pub(super) name: String,
    /// O, I, F, F of a convolution; N, P, 1, 1 of the logits layer.
    pub(super) shape: [usize; 4],
    /// One row per episode, in the order of the shape.
    pub(super) rows: Vec<Vec<f32>>,
}

/// The kernels of all layers, for each of the plans.
pub(super) fn kernels(
    learner: &Learner,
    images: &ImageSet,
    plans: &[EpisodePlan],
    device: &Device,
) -> Vec<LayerKernels> {
    let spec = learner.spec();
    let convolutions = spec.layers.iter().enumerate().map(|(l, layer)| {
        let shape = [
            layer.output.channels,
            layer.input.channels,
            layer.kernel,
            layer.kernel,
        ];
        (format!("layer {}", l + 1), shape)
    });
    let logits = ("logits".to_owned(), [spec.ways, spec.n_features(), 1, 1]);
    let mut layers: Vec<LayerKernels> = convolutions
        .chain([logits])
        .map(|(name, shape)| LayerKernels {
            name,
            shape,
            rows: Vec::with_capacity(plans.len()),
        })
        .collect();
    for plans in plans.chunks(EPISODES_PER_PASS) {
        let EpisodeBatch { support, .. } = collate(images, plans).to_device(device);
        let cnn = learner.adapt(&support);
        let (logits, convolutions) = layers.split_last_mut().expect("a logits layer");
        for (layer, weights) in convolutions.iter_mut().zip(&cnn.layers) {
            push(layer, &weights.kernel, plans.len());
        }
        push(logits, &cnn.logits.kernel, plans.len());
    }
    layers
}

fn push<const D: usize>(layer: &mut LayerKernels, kernels: &Tensor<D>, n_episodes: usize) {
    let values: Vec<f32> = kernels.to_data().iter::<f32>().collect();
    let len = values.len() / n_episodes;
    layer.rows.extend(values.chunks(len).map(<[f32]>::to_vec));
}

/// All layers as one: each episode's kernels behind one another.
pub(super) fn joined(layers: &[LayerKernels]) -> Vec<Vec<f32>> {
    let n_episodes = layers.first().map_or(0, |layer| layer.rows.len());
    let join = |episode: usize| {
        let rows = layers.iter().map(|layer| layer.rows[episode].as_slice());
        rows.collect::<Vec<_>>().concat()
    };
    (0..n_episodes).map(join).collect()
}
