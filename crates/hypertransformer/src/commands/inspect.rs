//! `hypertransformer inspect`: what an experiment or a run consists of, in numbers.

use anyhow::Result;
use burn::module::Module;
use ht_generator::{LayerGenerator, TokenGrid};
use ht_train::{ExperimentConfig, Learner, RunDir};
use serde_json::{Value, json};

use super::{Outcome, experiment_config};
use crate::args::InspectArgs;
use crate::device::DeviceName;
use crate::progress::print;

/// Shows an experiment without training it.
pub(crate) fn run(args: &InspectArgs) -> Result<Outcome> {
    let config = match &args.target {
        Some(run) if run.is_dir() => {
            let stored = RunDir::config(run)?;
            ExperimentConfig::parse(&stored.to_toml(), "config.toml", &args.overrides)?
        }
        config => experiment_config(config.as_deref(), &args.overrides)?,
    };
    let device = DeviceName::default().compute(Some(1))?.device;
    let learner = config.new_learner(&device)?;
    let method = config.method()?.name();
    let spec = learner.spec();
    // Layers that no transformer writes have no tokens.
    let generator = match &learner {
        Learner::Generator(generator) => Some(generator),
        Learner::Baseline(_) => None,
    };

    let n_support = config.episodes.train_spec().n_support();
    let n_samples = generator.map_or(0, |generator| generator.n_sample_tokens(n_support));
    let mut rows = Vec::new();
    for (l, layer) in spec.layers.iter().enumerate() {
        let source = generator.and_then(|generator| generator.layers()[l].generator());
        let shape = |g: ht_cnn::Geometry| format!("{}x{}x{}", g.channels, g.height, g.width);
        rows.push(Row {
            name: format!("layer {}", l + 1),
            input: shape(layer.input),
            output: shape(layer.output),
            weights: layer.kernel_len(),
            grid: source.map(LayerGenerator::grid),
        });
    }
    rows.push(Row {
        name: "logits".to_owned(),
        input: format!("{} features", spec.n_features()),
        output: format!("{} logits", spec.ways),
        weights: spec.ways * (spec.n_features() + 1),
        grid: generator.map(|generator| generator.logits().grid()),
    });

    if args.json {
        let object = json!({
            "name": config.name,
            "method": method,
            "generator_parameters": learner.num_params(),
            "cnn_weights": spec.n_weights(),
            "cnn_multiply_adds": spec.n_multiply_adds(),
            "layers": rows.iter().map(|row| row.to_json(n_samples)).collect::<Vec<_>>(),
        });
        print(&object.to_string());
        return Ok(Outcome::Done);
    }
    print(&format!("{}: {}", config.name, config.episodes.size()));
    print(&format!("{method}, {} parameters", learner.num_params()));
    print(&format!(
        "CNN         {} weights, {} multiply-adds per image",
        spec.n_weights(),
        spec.n_multiply_adds()
    ));
    print("");
    print("layer      input        output       weights  source      slices   tokens  width");
    for row in &rows {
        print(&row.to_line(n_samples));
    }
    Ok(Outcome::Done)
}

/// One layer of the CNN and the tokens that write it.
struct Row {
    name: String,
    input: String,
    output: String,
    weights: usize,
    grid: Option<TokenGrid>,
}

impl Row {
    fn to_line(&self, n_samples: usize) -> String {
        let Self {
            name,
            input,
            output,
            weights,
            grid,
        } = self;
        let source = match grid {
            Some(TokenGrid { slices, width, .. }) => format!(
                "generated  {:>3} x {:<4} {:>5}  {width:>5}",
                slices.count,
                slices.len,
                slices.count + n_samples
            ),
            None => "not generated".to_owned(),
        };
        format!("{name:10} {input:12} {output:12} {weights:>7}  {source}")
    }

    fn to_json(&self, n_samples: usize) -> Value {
        json!({
            "name": self.name,
            "input": self.input,
            "output": self.output,
            "weights": self.weights,
            "generated": self.grid.is_some(),
            "slices": self.grid.map(|grid| grid.slices.count),
            "slice_len": self.grid.map(|grid| grid.slices.len),
            "tokens": self.grid.map(|grid| grid.slices.count + n_samples),
            "token_width": self.grid.map(|grid| grid.width),
        })
    }
}
