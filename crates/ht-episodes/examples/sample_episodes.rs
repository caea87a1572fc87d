//! Samples episodes of built-in glyphs: which classes and images, and the tensors that they become.

#![expect(clippy::print_stdout, reason = "an example shows what it has made")]

use std::error::Error;
use std::sync::Arc;

use burn::tensor::Device;
use ht_episodes::{
    ClassRotation, ClassSplit, EpisodeSampler, EpisodeSpec, ImageSource, Split, SplitConfig,
    collate,
};

const GLYPHS: &str =
    r#"{"source": "glyphs", "classes": 90, "samples": 9, "image_size": 28, "seed": 1}"#;
const SPLIT: &str = r#"{"by": "seed", "seed": 1, "validation": 20, "test": 20}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let images = Arc::new(serde_json::from_str::<ImageSource>(GLYPHS)?.load(None)?);
    let split = ClassSplit::new(&serde_json::from_str::<SplitConfig>(SPLIT)?, &images)?;
    // 5 classes, 2 labelled images and 3 query images of each.
    let spec = EpisodeSpec::new(5, 2, 3);
    let sampler = EpisodeSampler::new(images, split, spec, ClassRotation::None)?;

    // An episode is a function of (seed, split, index): the same in any order, on any thread.
    let plan = |index| sampler.plan(7, Split::Test, index);
    for class in plan(0).classes {
        let name = sampler.images().class_name(class.class);
        println!(
            "{name}: support {:?}, query {:?}",
            class.support, class.query
        );
    }
    let batch = collate(sampler.images(), &[plan(0), plan(1)]).to_device(&Device::flex());
    println!("support images {:?}", batch.support.images.dims()); // [2, 10, 1, 28, 28]
    println!("query images   {:?}", batch.query.images.dims()); // [2, 15, 1, 28, 28]
    Ok(())
}
