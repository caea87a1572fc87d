//! `hypertransformer add-class` and `remove-class`: a bundle with one class more or less, written anew
//! by the generator that it came from.

use std::path::PathBuf;

use anyhow::{Context, Result};
use burn::tensor::Device;
use ht_bundle::Bundle;
use ht_episodes::picture_files;

use super::factory::{Factory, default_models};
use super::generate::make;
use super::task::Task;
use crate::args::{AddClassArgs, RemoveClassArgs};
use crate::commands::Outcome;

/// Adds the pictures of a folder as a class.
pub(crate) fn add_class(args: &AddClassArgs) -> Result<Outcome> {
    let device = args.compute.device.compute(args.compute.threads)?.device;
    let bundle = Bundle::read(&args.bundle)?;
    let factory = factory(args.model.as_ref(), args.models.as_ref(), &bundle, &device)?;
    let folder_name = args.pictures.file_name().map(|name| name.to_string_lossy());
    let name = match &args.name {
        Some(name) => name.clone(),
        None => folder_name
            .context("the folder has no name: give --name")?
            .into_owned(),
    };
    let invert = bundle.manifest.preprocessing.invert;
    let files = picture_files(&args.pictures)?;
    let task = Task::of_bundle(&bundle)?.with_class(&name, &files, invert)?;
    let output = args.output.as_ref().unwrap_or(&args.bundle);
    make(&factory, task, invert, output, args.json)?;
    Ok(Outcome::Done)
}

/// Removes a class.
pub(crate) fn remove_class(args: &RemoveClassArgs) -> Result<Outcome> {
    let device = args.compute.device.compute(args.compute.threads)?.device;
    let bundle = Bundle::read(&args.bundle)?;
    let factory = factory(args.model.as_ref(), args.models.as_ref(), &bundle, &device)?;
    let task = Task::of_bundle(&bundle)?.without_class(&args.name)?;
    let invert = bundle.manifest.preprocessing.invert;
    let output = args.output.as_ref().unwrap_or(&args.bundle);
    make(&factory, task, invert, output, args.json)?;
    Ok(Outcome::Done)
}

fn factory(
    model: Option<&PathBuf>,
    models: Option<&PathBuf>,
    bundle: &Bundle,
    device: &Device,
) -> Result<Factory> {
    match model {
        Some(model) => Factory::load(model, device),
        None => Factory::of_bundle(&default_models(models)?, bundle, device),
    }
}
