//! Two baselines make a CNN of the same five images, as a generator would.

#![expect(clippy::print_stdout, reason = "an example shows what it has made")]

use std::error::Error;

use burn::tensor::{Device, Distribution, Int, Tensor};
use ht_baselines::{Baseline, BaselineConfig, InnerSteps};
use ht_cnn::{CnnConfig, CnnSpec, Geometry};
use ht_episodes::SupportSet;

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex();
    let image = Geometry {
        channels: 1,
        height: 28,
        width: 28,
    };
    let spec = CnnSpec::new(&CnnConfig::default(), image, 5)?;
    let images = Tensor::random([1, 5, 1, 28, 28], Distribution::Uniform(-1.0, 1.0), &device);
    let labels = Tensor::<2, Int>::from_data([[0, 1, 2, 3, 4]], &device);
    let support = SupportSet::new(images.clone(), labels);

    let steps = InnerSteps {
        steps: 5,
        rate: 0.1,
    };
    for config in [BaselineConfig::ProtoNet {}, BaselineConfig::Maml(steps)] {
        // MAML takes gradients while it adapts.
        let baseline = Baseline::new(&config, &spec, 1, &device)?;
        let cnn = baseline.adapt(&support);
        let logits = cnn.forward(images.clone());
        println!("{}: logits {:?}", config.name(), logits.dims()); // [1, 5, 5]
    }
    Ok(())
}
