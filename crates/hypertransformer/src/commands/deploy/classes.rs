//! `hypertransformer add-class` and `remove-class`: a bundle with one class more or less, written anew
//! by the generator that it came from.

use anyhow::{Context, Result};
use ht_bundle::Bundle;
use ht_episodes::picture_files;

use super::factory::{Factory, default_models};
use super::generate::make;
use super::task::Task;
use crate::args::{AddClassArgs, RemoveClassArgs, RewriteArgs};
use crate::commands::Outcome;

/// Adds the pictures of a folder as a class.
pub(crate) fn add_class(args: &AddClassArgs) -> Result<Outcome> {
    let folder_name = args.pictures.file_name().map(|name| name.to_string_lossy());
    let name = match &args.name {
        Some(name) => name.clone(),
        None => folder_name
            .context("the folder has no name: give --name")?
            .into_owned(),
    };
    let files = picture_files(&args.pictures)?;
    rewrite(&args.rewrite, |task, invert| {
        task.with_class(&name, &files, invert)
    })
}

/// Removes a class.
pub(crate) fn remove_class(args: &RemoveClassArgs) -> Result<Outcome> {
    rewrite(&args.rewrite, |task, _| task.without_class(&args.name))
}

/// Writes the bundle of a changed task; `change` hears whether light and dark are swapped.
fn rewrite(args: &RewriteArgs, change: impl FnOnce(Task, bool) -> Result<Task>) -> Result<Outcome> {
    let device = args.compute.device.compute(args.compute.threads)?.device;
    let bundle = Bundle::read(&args.bundle)?;
    let factory = match &args.model {
        Some(model) => Factory::load(model, &device)?,
        None => Factory::of_bundle(&default_models(args.models.as_ref())?, &bundle, &device)?,
    };
    let invert = bundle.manifest.preprocessing.invert;
    let task = change(Task::of_bundle(&bundle)?, invert)?;
    let output = args.output.as_ref().unwrap_or(&args.bundle);
    make(&factory, task, invert, output, args.json)?;
    Ok(Outcome::Done)
}
