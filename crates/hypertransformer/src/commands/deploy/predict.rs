//! `hypertransformer predict`: a bundle over pictures, without any tensor library.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use ht_bundle::{Bundle, Precision};
use ht_episodes::{ImageShape, Picture, picture_files};
use serde_json::{Value, json};

use crate::args::PredictArgs;
use crate::commands::left_out::say_left_out;
use crate::commands::{Outcome, shown};
use crate::progress::print;

/// Classifies pictures one after another.
pub(crate) fn predict(args: &PredictArgs) -> Result<Outcome> {
    let bundle = Bundle::read(&args.bundle)?;
    let invert = bundle.manifest.preprocessing.invert;
    let file = bundle.device_file(Precision::Float32)?;
    let failed = |cause: ht_runtime::Error| anyhow!("{}: {cause}", args.bundle.display());
    let cnn = ht_runtime::Cnn::parse(&file).map_err(failed)?;
    let mut workspace = vec![0.0; cnn.workspace_len()];
    let mut network = cnn.load(&mut workspace).map_err(failed)?;
    let image = bundle.cnn.image;
    let shape = ImageShape {
        channels: image.channels,
        height: image.height,
        width: image.width,
    };
    let mut predictions = Vec::new();
    for path in &args.pictures {
        let found = picture_files(path)?;
        say_left_out(&found.left_out, "directly in the folder");
        for file in found.files {
            let pixels = Picture::read(&file)?.fit(shape, invert);
            let mut values = vec![0.0; cnn.n_labels()];
            network.classify(&pixels, &mut values).map_err(failed)?;
            let logits = values.clone();
            cnn.probabilities(&mut values);
            let decision = cnn.decide(&values);
            let label = cnn.label(decision.label).context("a label too few")?;
            if args.json {
                predictions.push(json!({
                    "picture": shown(&file),
                    "label": label,
                    "probability": decision.probability,
                    "doubt": decision.doubt,
                    "accepted": decision.is_accepted,
                    "logits": logits,
                    "probabilities": values,
                }));
            } else {
                print(&line(&file, label, decision));
            }
        }
    }
    if args.json {
        let labels = &bundle.manifest.labels;
        print(&json!({ "labels": labels, "predictions": Value::from(predictions) }).to_string());
    }
    Ok(Outcome::Done)
}

fn line(file: &Path, label: &str, decision: ht_runtime::Decision) -> String {
    let percent = 100.0 * decision.probability;
    let doubt = if decision.is_accepted {
        ""
    } else {
        ", if it is any of the classes: below the rejection threshold"
    };
    format!("{}: {label} ({percent:.1} %){doubt}", file.display())
}
