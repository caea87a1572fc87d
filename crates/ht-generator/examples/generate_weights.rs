//! A transformer reads one labelled image of each of five classes and writes the weights of a CNN.

#![expect(clippy::print_stdout, reason = "an example shows what it has made")]

use std::error::Error;

use burn::tensor::{Device, Distribution, Int, Tensor};
use ht_cnn::{CnnConfig, CnnSpec, Geometry};
use ht_episodes::SupportSet;
use ht_generator::{GeneratorConfig, WeightGenerator};

const CONFIG: &str = r#"
allocation = "output"
learned_layers = "none"
embedding_width = 32
logits_tokens = "from-labels"
image_encoder = { depth = 4, width = 32, padding = "same" }
activation_encoder = { width = 8 }
transformer = { blocks = 2, heads = 2, norm = "pre", query_key = { fraction = 1.0 }, value = { fraction = 1.0 }, feed_forward = { inner = { fraction = 1.0 }, activation = "relu" } }
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex();
    let image = Geometry {
        channels: 1,
        height: 28,
        width: 28,
    };
    let spec = CnnSpec::new(&CnnConfig::default(), image, 5)?;
    let config: GeneratorConfig = toml::from_str(CONFIG)?;
    let generator = WeightGenerator::new(&config, &spec, 1, &device)?;

    let images = Tensor::random([1, 5, 1, 28, 28], Distribution::Uniform(-1.0, 1.0), &device);
    let labels = Tensor::<2, Int>::from_data([[0, 1, 2, 3, 4]], &device);
    let cnn = generator.generate(&SupportSet::new(images.clone(), labels));
    println!("kernel {:?}", cnn.layers[0].kernel.dims()); // [1, 8, 1, 3, 3]
    println!("logits {:?}", cnn.forward(images).dims()); // [1, 5, 5]
    Ok(())
}
