//! Runs two CNNs of the same shape with different weights, each on three images of its own.

#![expect(clippy::print_stdout, reason = "an example shows what it has made")]

use std::error::Error;

use burn::tensor::{Device, Distribution, Tensor};
use ht_cnn::{CnnConfig, CnnSpec, GeneratedCnn, Geometry, LayerWeights, LogitsWeights};

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex();
    let image = Geometry {
        channels: 1,
        height: 28,
        width: 28,
    };
    // The paper's CNN: four layers of 8 channels; here for 5 classes.
    let spec = CnnSpec::new(&CnnConfig::default(), image, 5)?;
    let episodes = 2;
    let normal = Distribution::Normal(0.0, 0.1);
    let layers = spec.layers.iter().map(|layer| {
        let (o, i, f) = (layer.output.channels, layer.input.channels, layer.kernel);
        LayerWeights {
            kernel: Tensor::random([episodes, o, i, f, f], normal, &device),
            bias: None,
            scale: Tensor::ones([episodes, o], &device),
            shift: Tensor::zeros([episodes, o], &device),
        }
    });
    let cnn = GeneratedCnn {
        layers: layers.collect(),
        logits: LogitsWeights {
            kernel: Tensor::random([episodes, 5, spec.n_features()], normal, &device),
            bias: Tensor::zeros([episodes, 5], &device),
        },
        statistics: None,
        absent: None,
        spec,
    };
    let images = Tensor::random(
        [episodes, 3, 1, 28, 28],
        Distribution::Uniform(-1.0, 1.0),
        &device,
    );
    println!("logits {:?}", cnn.forward(images).dims()); // [2, 3, 5]
    Ok(())
}
