//! `hypertransformer episodes`: a list of test episodes for others to be measured on.

use anyhow::{Result, bail};
use ht_files::durable;
use serde_json::json;

use super::{Outcome, experiment_config, resolved, shown};
use crate::args::EpisodesArgs;
use crate::progress::print;

/// Writes the list.
pub(crate) fn run(args: &EpisodesArgs) -> Result<Outcome> {
    let config = experiment_config(args.config.as_deref(), &args.overrides)?;
    let experiment = resolved(config, args.data.as_deref())?;
    let episodes = experiment.fixed_episodes(args.split.into(), args.episodes);
    let (images, list) = (episodes.images, &episodes.list);
    let text = list.to_text(images)?;
    // A list fixes a test for ever.
    if args.output.exists() {
        bail!(
            "cannot write {}: it is there already, and a list is not replaced",
            args.output.display()
        );
    }
    durable::replace_file(&args.output, text.as_bytes())?;
    if args.json {
        let object = json!({
            "file": shown(&args.output),
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
