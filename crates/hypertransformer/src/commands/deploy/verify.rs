//! `hypertransformer verify`: a bundle runs its golden images and must give their logits.

use anyhow::{Result, bail};
use ht_bundle::Bundle;
use serde_json::json;

use crate::args::VerifyArgs;
use crate::commands::{Outcome, shown};
use crate::progress::print;

/// Reads a bundle, which checks its digests, and runs it.
pub(crate) fn verify(args: &VerifyArgs) -> Result<Outcome> {
    let bundle = Bundle::read(&args.bundle)?;
    let found = bundle.verify()?;
    if args.json {
        let object = json!({
            "bundle": shown(&args.bundle),
            "images": found.images,
            "same_label": found.same_label,
            "largest_difference": found.largest_difference,
            "allowed": found.allowed,
            "passed": found.passed(),
        });
        print(&object.to_string());
    }
    let line = format!(
        "{} of {} golden images have their label, logits are at most {:.2e} apart (allowed {:.2e})",
        found.same_label, found.images, found.largest_difference, found.allowed
    );
    if !found.passed() {
        bail!("{}: {line}", args.bundle.display());
    }
    if !args.json {
        print(&line);
    }
    Ok(Outcome::Done)
}
