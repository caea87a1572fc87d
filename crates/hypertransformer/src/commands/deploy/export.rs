//! `hypertransformer export`: one file of a bundle for another program.

use std::path::Path;

use anyhow::{Result, bail};
use ht_bundle::{Bundle, Precision};
use ht_files::durable;
use serde_json::json;

use crate::args::{ExportArgs, ExportFormat};
use crate::commands::{Outcome, shown};
use crate::progress::print;

/// Writes a bundle's CNN in a format.
pub(crate) fn export(args: &ExportArgs) -> Result<Outcome> {
    let bundle = Bundle::read(&args.bundle)?;
    let precision = if args.int8 {
        Precision::Int8
    } else {
        Precision::Float32
    };
    let bytes = match args.format {
        ExportFormat::Device => bundle.device_file(precision)?,
        ExportFormat::Onnx if args.int8 => bail!("--int8: the ONNX file has float32 weights only"),
        ExportFormat::Onnx => bundle.onnx()?,
        ExportFormat::C => bundle.c_header(precision)?.into_bytes(),
    };
    check_outside(&args.output)?;
    durable::replace_file(&args.output, &bytes)?;
    if args.json {
        print(&json!({ "file": shown(&args.output), "bytes": bytes.len() }).to_string());
    } else {
        print(&format!(
            "{} bytes in {}",
            bytes.len(),
            args.output.display()
        ));
    }
    Ok(Outcome::Done)
}

/// Refuses a file in a bundle, which would be none with it or with a file of its own replaced.
fn check_outside(output: &Path) -> Result<()> {
    let place = durable::destination(output)?;
    let folder = match place.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let Ok(folder) = folder.canonicalize() else {
        return Ok(());
    };
    match folder.ancestors().find(|folder| Bundle::is_in(folder)) {
        None => Ok(()),
        Some(bundle) => bail!(
            "cannot write {}: {} is a bundle, which holds its own files alone; name a file elsewhere",
            output.display(),
            bundle.display()
        ),
    }
}
