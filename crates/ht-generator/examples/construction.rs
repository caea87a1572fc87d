//! The construction of the paper's section 4.2 on Omniglot: how many unlabelled samples the
//! first layer labels right, and what that is worth to the linear head.
//!
//! `construction [FOLDER]`, where the folder holds Omniglot; `../shared/data/omniglot` unless
//! given, and the built-in glyphs where there is none.

#![expect(clippy::print_stdout, reason = "the table is what the example is for")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Int, Tensor};
use ht_cnn::Padding;
use ht_episodes::{
    ClassRotation, ClassSplit, EpisodeBatch, EpisodePlan, EpisodeSampler, EpisodeSpec, ImageSource,
    Split, SplitConfig, Unlabelled, collate,
};
use ht_generator::construction::{Construction, unit_length};
use ht_generator::{ImageEncoder, ImageEncoderConfig, ParameterInit, Pass};

const EPISODES: u64 = 1000;
const META_BATCH: u64 = 50;
const WAYS: usize = 5;
const QUERIES: usize = 5;
/// Chosen among a few pairs on validation classes (docs/paper.md).
const SIMILARITY_SHARPNESS: f64 = 10.0;
const LABEL_SHARPNESS: f64 = 4.0;

type Embedding = Box<dyn Fn(Tensor<5>) -> Tensor<3>>;

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex();
    let sampler = sampler()?;
    println!("5-way 1-shot, 5 unlabelled per class, {EPISODES} test episodes, in percent");
    println!(
        "embedding                 labelled right    one layer         two layers        two, cosine head  gain"
    );
    for (name, embed) in embeddings(&device) {
        let mut columns = [const { Vec::new() }; 5];
        for start in (0..EPISODES).step_by(META_BATCH as usize) {
            let plans: Vec<_> = (start..start + META_BATCH)
                .map(|index| sampler.plan(7, Split::Test, index))
                .collect();
            let batch = collate(sampler.images(), &plans).to_device(&device);
            let shares = shares(&batch, truth(&plans, &device), &embed);
            for (column, share) in columns.iter_mut().zip(shares) {
                column.extend(share.into_data().iter::<f64>());
            }
        }
        let columns = columns.map(|shares| with_interval(&shares));
        println!("{name:<25} {}", columns.join("     "));
    }
    Ok(())
}

/// Episodes of 5 ways, 1 shot and 5 unlabelled samples per class.
fn sampler() -> Result<EpisodeSampler, Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| PathBuf::from("../shared/data/omniglot"));
    let (source, test) = if folder.exists() {
        ("source = 'omniglot'\nimage_size = 28", 423)
    } else {
        println!(
            "No Omniglot in {}: the built-in glyphs instead.",
            folder.display()
        );
        let glyphs = "source = 'glyphs'\nclasses = 200\nsamples = 20\nimage_size = 28\nseed = 1";
        (glyphs, 100)
    };
    let source: ImageSource = toml::from_str(source)?;
    let images = Arc::new(source.load(Some(&folder))?);
    let split = SplitConfig::Seed {
        seed: 2022,
        validation: 50,
        test,
    };
    let split = ClassSplit::new(&split, &images)?;
    let spec = EpisodeSpec {
        unlabelled: Unlabelled {
            per_class: 5,
            distractors: 0,
        },
        ..EpisodeSpec::new(WAYS, 1, QUERIES)
    };
    Ok(EpisodeSampler::new(
        images,
        split,
        spec,
        ClassRotation::None,
    )?)
}

/// The true labels of the support samples, `[E, S]`.
fn truth(plans: &[EpisodePlan], device: &Device) -> Tensor<2, Int> {
    let of_plan = |plan: &EpisodePlan| {
        let label_of = |class| plan.classes.iter().position(|known| known.class == class);
        let labels: Vec<i32> = plan
            .support()
            .filter_map(|image| label_of(image.class))
            .map(|label| label as i32)
            .collect();
        Tensor::<1, Int>::from_ints(labels.as_slice(), device)
    };
    Tensor::stack(plans.iter().map(of_plan).collect(), 0)
}

/// Embeddings that nobody trained, `[E, S, C, H, W]` to `[E, S, A]`.
fn embeddings(device: &Device) -> [(&'static str, Embedding); 3] {
    let config = ImageEncoderConfig {
        depth: 4,
        width: 64,
        padding: Padding::Same,
        dropout: 0.0,
    };
    let encoder = ImageEncoder::new(&config, 1, &mut ParameterInit::new(1, 0, device));
    [
        ("pixels", Box::new(|images| images.flatten(2, 4))),
        ("pixels blurred to 7 x 7", Box::new(blurred)),
        (
            "random convolutions",
            Box::new(move |images| encoder.forward(images, &mut Pass::evaluation())),
        ),
    ]
}

fn blurred(images: Tensor<5>) -> Tensor<3> {
    let [e, s, c, h, w] = images.dims();
    let images = images.reshape([e * s, c, h, w]);
    let window = AvgPoolOptions::new([8, 8])
        .with_stride([4, 4])
        .with_padding([2, 2]);
    let small = avg_pool2d(images, window);
    small.reshape([e as i32, s as i32, -1])
}

/// Per episode: unlabelled samples labelled right, and query images classified right with
/// one layer, two layers, two layers and rows of length one; last, what the last one gains
/// over the first. Both use one embedding, so that the gain is the construction's alone.
fn shares(batch: &EpisodeBatch, truth: Tensor<2, Int>, embed: &Embedding) -> [Tensor<2>; 5] {
    let (support, query) = (
        embed(batch.support.images.clone()),
        embed(batch.query.images.clone()),
    );
    let centre = support.clone().mean_dim(1);
    let support = unit_length(support - centre.clone());
    let query = unit_length(query - centre);
    let [_, s, features] = support.dims();
    let construction = Construction {
        ways: WAYS,
        features,
        similarity_sharpness: SIMILARITY_SHARPNESS,
        label_sharpness: LABEL_SHARPNESS,
    };
    let one_layer = construction.supervised(batch.support.labels.clone(), support.clone());
    let two_layers = construction.semi_supervised(batch.support.labels.clone(), support);
    let unlabelled = s - WAYS;
    let labelled_right = right(
        two_layers.labels.narrow(1, WAYS, unlabelled),
        truth.narrow(1, WAYS, unlabelled),
    );
    let classified = |rows: Tensor<3>| {
        let logits = query.clone().matmul(rows.transpose());
        right(logits, batch.query.labels.clone())
    };
    // With one shot its rows have length one: its linear head is a cosine head.
    let one_layer = classified(one_layer);
    let cosine_head = classified(unit_length(two_layers.rows.clone()));
    [
        labelled_right,
        one_layer.clone(),
        classified(two_layers.rows),
        cosine_head.clone(),
        cosine_head - one_layer,
    ]
}

/// `[E, n, N]` and `[E, n]` to the share of right ones, `[E, 1]`.
fn right(scores: Tensor<3>, labels: Tensor<2, Int>) -> Tensor<2> {
    let found = scores.argmax(2).squeeze_dim::<2>(2);
    found.equal(labels).float().mean_dim(1)
}

/// Mean and half width of its 95 % interval, in percent.
fn with_interval(shares: &[f64]) -> String {
    let n = shares.len() as f64;
    let mean = shares.iter().sum::<f64>() / n;
    let variance = shares.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half_width = 1.96 * (variance / n).sqrt();
    format!("{:5.2} ± {:4.2}", 100.0 * mean, 100.0 * half_width)
}
