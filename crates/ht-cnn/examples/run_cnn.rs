//! Runs two CNNs of the same shape with different weights, each on three images of its own.

#![expect(clippy::print_stdout, reason = "an example shows what it has made")]

use burn::tensor::{Device, Distribution, Tensor};
use ht_cnn::{CnnConfig, CnnError, CnnSpec, GeneratedCnn, Geometry, LayerWeights, LogitsWeights};

fn main() -> Result<(), CnnError> {
    let device = Device::flex();
    let [channels, height, width] = [1, 28, 28];
    let image = Geometry {
        channels,
        height,
        width,
    };
    // The paper's CNN: four layers of 8 channels; here for 5 classes.
    let spec = CnnSpec::new(&CnnConfig::default(), image, 5)?;
    let random = Distribution::Uniform(-1.0, 1.0);
    let layers = spec.layers.iter().map(|layer| {
        let (o, i, f) = (layer.output.channels, layer.input.channels, layer.kernel);
        LayerWeights {
            kernel: Tensor::random([2, o, i, f, f], random, &device),
            bias: None,
            scale: Tensor::ones([2, o], &device),
            shift: Tensor::zeros([2, o], &device),
        }
    });
    let cnn = GeneratedCnn {
        layers: layers.collect(),
        logits: LogitsWeights::from_slices(Tensor::random([2, 5, 9], random, &device), 8),
        statistics: None,
        absent: None,
        spec,
    };
    let images = Tensor::random([2, 3, channels, height, width], random, &device);
    println!("logits {:?}", cnn.forward(images).dims()); // [2, 3, 5]
    Ok(())
}
