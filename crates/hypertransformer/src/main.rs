//! The command line: parse, dispatch, report.
//!
//! This crate is the edge. It names the backends (`device.rs`), draws progress, and turns
//! errors into one line on stderr and an exit code; all that computes lies below it.

mod args;
mod commands;
mod device;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

/// Many small tensors come and go in a step; this allocator keeps them from the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Train(args) => commands::train::run(&args),
        Command::Evaluate(args) => commands::evaluate::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Reproduce(args) => commands::reproduce::run(&args),
        Command::Models(args) => commands::models::run(&args),
        Command::Generate(args) => commands::deploy::generate(&args),
        Command::AddClass(args) => commands::deploy::add_class(&args),
        Command::RemoveClass(args) => commands::deploy::remove_class(&args),
        Command::Predict(args) => commands::deploy::predict(&args),
        Command::Verify(args) => commands::deploy::verify(&args),
        Command::Export(args) => commands::deploy::export(&args),
        Command::Episodes(args) => commands::episodes::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Parity(args) => commands::parity::run(&args),
        Command::ImportTf(args) => commands::import_tf::run(&args),
    };
    let code = match outcome {
        Ok(commands::Outcome::Done) => ExitCode::SUCCESS,
        Ok(commands::Outcome::Stopped(code)) => ExitCode::from(code),
        Err(error) => {
            progress::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    };
    match progress::lost_line() {
        Some(cause) => {
            progress::say(&format!("error: cannot write to stdout: {cause}"));
            ExitCode::FAILURE
        }
        None => code,
    }
}
