//! Samples episodes of built-in glyphs: which classes and images, and the tensors that they become.

#![expect(clippy::print_stdout, reason = "an example shows what it has made")]

use std::error::Error;
use std::sync::Arc;

use burn::tensor::Device;
use ht_episodes::source::GlyphsConfig;
use ht_episodes::{
    ClassRotation, ClassSplit, EpisodeSampler, EpisodeSpec, ImageSource, Split, SplitConfig,
    collate,
};

fn main() -> Result<(), Box<dyn Error>> {
    let glyphs = GlyphsConfig {
        classes: 100,
        samples: 20,
        image_size: 28,
        seed: 1,
    };
    let images = Arc::new(ImageSource::Glyphs(glyphs).load(None)?);
    let split = SplitConfig::Seed {
        seed: 1,
        validation: 20,
        test: 20,
    };
    let split = ClassSplit::new(&split, &images)?;
    // 5 classes, 2 labelled images and 3 query images of each.
    let spec = EpisodeSpec::new(5, 2, 3);
    let sampler = EpisodeSampler::new(images, split, spec, ClassRotation::None)?;

    // An episode is a function of (seed, split, index): the same in any order, on any thread.
    let plans: Vec<_> = (0..4)
        .map(|index| sampler.plan(7, Split::Test, index))
        .collect();
    for class in &plans[0].classes {
        let name = sampler.images().class_name(class.class);
        println!(
            "{name}: label {:?}, support {:?}, query {:?}",
            class.label, class.support, class.query
        );
    }
    let batch = collate(sampler.images(), &plans).to_device(&Device::flex());
    println!("support images {:?}", batch.support.images.dims()); // [4, 10, 1, 28, 28]
    println!("query images   {:?}", batch.query.images.dims()); // [4, 15, 1, 28, 28]
    Ok(())
}
