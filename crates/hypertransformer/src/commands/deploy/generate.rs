//! `hypertransformer generate`: from a folder with a few pictures of each class to a bundle.

use std::path::Path;

use anyhow::{Result, bail};
use ht_bundle::Bundle;
use ht_episodes::Picture;
use ht_files::FolderLock;

use super::factory::{Factory, default_models};
use super::leave_one_out::leave_one_out;
use super::report::report;
use super::task::{Task, TaskFiles};
use crate::args::{GenerateArgs, Invert};
use crate::commands::Outcome;
use crate::progress::say;

/// Reads the pictures, writes the CNN and its bundle, and tells what it is worth.
pub(crate) fn generate(args: &GenerateArgs) -> Result<Outcome> {
    let device = args.compute.device.compute(args.compute.threads)?.device;
    let files = TaskFiles::find(&args.support)?;
    let pictures = files.first_pictures()?;
    let factory = match &args.model {
        Some(model) => Factory::load(model, &device)?,
        None => Factory::fitting(&default_models(args.models.as_ref())?, &pictures, &device)?,
    };
    let invert = invert(args.invert, &factory, &pictures);
    let task = files.read(factory.shape(), invert)?;
    let lock = Bundle::lock(&args.output)?;
    make(&factory, task, invert, (&lock, &args.output), args.json)?;
    Ok(Outcome::Done)
}

/// Whether light and dark are swapped: a generator of drawings reads bright ink, and most people
/// draw with dark ink on white paper.
fn invert(asked: Invert, factory: &Factory, pictures: &[Picture]) -> bool {
    match asked {
        Invert::Always => true,
        Invert::Never => false,
        Invert::Auto => {
            let n_light = pictures.iter().filter(|picture| picture.is_light()).count();
            let invert = factory.reads_drawings() && 2 * n_light > pictures.len();
            if invert {
                say(
                    "note: dark ink on light paper: light and dark are swapped (--invert never to keep them)",
                );
            }
            invert
        }
    }
}

/// Says so if nothing tells the pictures apart, as of drawings whose ink is in the transparency alone.
fn say_all_alike(task: &Task) {
    if task.is_all_alike() {
        say(
            "note: all pictures look the same to the generator, so the classes cannot be told apart; \
             transparency is not read: drawings need ink and paper of different colours",
        );
    }
}

/// Writes and reports the bundle of a task to the folder that is locked, by the name that it was given.
pub(super) fn make(
    factory: &Factory,
    task: Task,
    invert: bool,
    (lock, output): (&FolderLock, &Path),
    is_json: bool,
) -> Result<()> {
    let task = factory.suited(task)?;
    say_all_alike(&task);
    let bundle = factory.bundle(&task, invert)?;
    let verification = bundle.verify()?;
    if !verification.passed() {
        bail!(
            "the CNN gives other logits outside the tensor library: {} apart, expected at most {}; \
             nothing was written",
            verification.largest_difference,
            verification.allowed
        );
    }
    let confusion = leave_one_out(factory, &task);
    bundle.write_locked(lock)?;
    report(&bundle, &task, factory, &confusion, output, is_json)
}
