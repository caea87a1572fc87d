//! `hypertransformer episodes`: a list of test episodes for others to be measured on.

use std::fs::File;
use std::io::Write;

use anyhow::{Context, Result};
use ht_train::Experiment;
use serde_json::json;

use super::{Outcome, experiment_config};
use crate::args::EpisodesArgs;
use crate::progress::print;

/// Writes the list.
pub(crate) fn run(args: &EpisodesArgs) -> Result<Outcome> {
    let config = experiment_config(args.config.as_deref(), &args.overrides)?;
    let experiment = Experiment::resolve(config, args.data.as_deref())?;
    let episodes = experiment.fixed_episodes(args.split.into(), args.episodes);
    let (images, list) = (episodes.images, &episodes.list);
    let text = list.to_text(images)?;
    // A list fixes a test for ever: an old one is not replaced.
    let mut file = File::create_new(&args.output)
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    if args.json {
        let object = json!({
            "file": args.output,
            "episodes": list.plans().len(),
            "episodes_sha256": list.digest(),
            "data_sha256": images.digest(),
        });
        print(&object.to_string());
    } else {
        print(&format!(
            "{} episodes, SHA-256 {}",
            list.plans().len(),
            list.digest()
        ));
        print(&format!("of data with SHA-256 {}", images.digest()));
    }
    Ok(Outcome::Done)
}
