//! `hypertransformer parity`: recorded steps of the released code, repeated and compared.

use std::path::PathBuf;

use anyhow::Result;
use ht_parity::report;
use serde_json::json;

use super::Outcome;
use crate::args::ParityArgs;
use crate::progress::{print, say};

/// Lines of a failed case that are shown.
const SHOWN_FAILURES: usize = 5;

/// Prints a row per case.
pub(crate) fn run(args: &ParityArgs) -> Result<Outcome> {
    let device = args.compute.device.compute(args.compute.threads)?.device;
    let folder = match &args.folder {
        Some(folder) => folder.clone(),
        None => std::env::var_os("HT_PARITY_DIR")
            .map_or_else(|| PathBuf::from("../shared/parity"), PathBuf::from),
    };
    let show = |line: &str| if args.json { say(line) } else { print(line) };
    show("case                  ok    tensors   forward  gradient");
    let rows = report(&folder, &device, |row| {
        let found = &row.deviations;
        show(&format!(
            "{:20}  {:3}  {:8}  {:8.1e}  {:8.1e}",
            row.name,
            if row.is_ok() { "yes" } else { "NO" },
            found.n_compared,
            found.forward,
            found.gradient,
        ));
        for failure in found.failures.iter().take(SHOWN_FAILURES) {
            show(&format!("  {failure}"));
        }
        if found.failures.len() > SHOWN_FAILURES {
            let rest = found.failures.len() - SHOWN_FAILURES;
            show(&format!("  and {rest} more"));
        }
    })?;
    if args.json {
        let cases = rows.iter().map(|row| {
            json!({
                "name": row.name,
                "ok": row.is_ok(),
                "tensors": row.deviations.n_compared,
                "forward": row.deviations.forward,
                "gradient": row.deviations.gradient,
                "sgd_in_doubles": row.deviations.sgd_in_doubles,
                "failures": row.deviations.failures,
            })
        });
        let object = json!({
            "cases": cases.collect::<Vec<_>>(),
            "device": args.compute.device.to_string(),
        });
        print(&object.to_string());
    }
    let n_failed = rows.iter().filter(|row| !row.is_ok()).count();
    if n_failed > 0 {
        anyhow::bail!("{n_failed} of {} cases differ", rows.len());
    }
    show(&format!("all {} cases agree", rows.len()));
    Ok(Outcome::Done)
}
