//! `hypertransformer add-class` and `remove-class`: a bundle with one class more or less, written anew
//! by the generator that it came from.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ht_bundle::Bundle;
use ht_episodes::picture_files;

use super::factory::{Factory, default_models};
use super::generate::make;
use super::task::Task;
use crate::args::{AddClassArgs, RemoveClassArgs, RewriteArgs};
use crate::commands::Outcome;
use crate::commands::left_out::say_left_out;

/// Adds the pictures of a folder as a class.
pub(crate) fn add_class(args: &AddClassArgs) -> Result<Outcome> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => folder_name(&args.pictures)?,
    };
    let found = picture_files(&args.pictures)?;
    say_left_out(&found.left_out, "directly in the folder");
    rewrite(&args.rewrite, |task, invert| {
        task.with_class(&name, &found.files, invert)
    })
}

/// The name of a folder, `.` included; a single picture has none that a class could go by.
fn folder_name(pictures: &Path) -> Result<String> {
    if pictures.is_file() {
        bail!(
            "{} is a picture, expected a folder with the name of the class: give --name",
            pictures.display()
        );
    }
    let whole = pictures.canonicalize();
    let name = pictures.file_name().map(ToOwned::to_owned);
    let name = name.or_else(|| Some(whole.ok()?.file_name()?.to_owned()));
    let name = name.context("the folder has no name: give --name")?;
    Ok(name.to_string_lossy().into_owned())
}

/// Removes a class.
pub(crate) fn remove_class(args: &RemoveClassArgs) -> Result<Outcome> {
    rewrite(&args.rewrite, |task, _| task.without_class(&args.name))
}

/// Writes the bundle of a changed task; `change` hears whether light and dark are swapped.
fn rewrite(args: &RewriteArgs, change: impl FnOnce(Task, bool) -> Result<Task>) -> Result<Outcome> {
    let device = args.compute.device.compute(args.compute.threads)?.device;
    let output = args.output.as_ref().unwrap_or(&args.bundle);
    if !args.bundle.exists() {
        // No folder is made for a bundle that is not there.
        Bundle::read(&args.bundle)?;
    }
    // Another change in between would be lost.
    let lock = Bundle::lock(output)?;
    let bundle = Bundle::read(&args.bundle)?;
    let factory = match &args.model {
        Some(model) => Factory::load(model, &device)?,
        None => Factory::of_bundle(&default_models(args.models.as_ref())?, &bundle, &device)?,
    };
    let invert = bundle.manifest.preprocessing.invert;
    let task = change(Task::of_bundle(&bundle)?, invert)?;
    make(&factory, task, invert, (&lock, output), args.json)?;
    Ok(Outcome::Done)
}
