//! `cargo xtask`: the one door to the workspace, for people and for CI alike.
//!
//! It has no Burn in it and so builds in seconds. The commands of the binary turn
//! `--device` into the cargo feature of the binary and pass everything else on; `test` is
//! all that CI runs.

mod commands;
mod faults;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  train [CONFIG] [OPTIONS]    train a generator and test it (train --help lists the options)
  evaluate --run DIR          measure a trained generator or baseline on fixed episodes
  explain RUN                 what it has learned, as one page with figures
  reproduce [ROW ..]          train and measure the rows of docs/results.md
  models                      the trained models that come with the repository
  compare A B                 two tests on the same episodes, paired by episode
  episodes [CONFIG] -o FILE   a list of test episodes for evaluate --episodes-from
  inspect [CONFIG|DIR]        layers, tokens and sizes of an experiment or a run
  parity [DIR]                repeat recorded steps of the released code, compare every tensor
  import-tf FILE --config C   make a run from a checkpoint of the released code
  test [--device NAME]..      format, clippy, docs, tidy, tests; on flex, ndarray and wgpu
                              unless devices are named
  kill-test [--kills N] [--seed S]
                              training killed N times (30) ends as if it had not been
  fuzz [--seconds N]          changed files for each reader, N seconds (10) each
  fuzz --guided [--seconds N] the same led by coverage, with cargo-fuzz
  tidy                        the rules of the house, in seconds
  bench step [--json]         the rate of training steps against the floor (bench --help)
  bench [FILTER]              criterion benches

--device flex|ndarray|wgpu|vulkan|cuda chooses the backend that is compiled in.
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match command.as_str() {
        "train" | "evaluate" | "explain" | "compare" | "episodes" | "reproduce" | "models"
        | "inspect" | "parity" | "import-tf" => commands::run_binary(&command, &rest),
        "test" => commands::test(&rest),
        "kill-test" => faults::kill_test(&rest),
        "fuzz" => faults::fuzz(&rest),
        "tidy" => commands::tidy(),
        "bench" if rest.first().is_some_and(|what| what == "step") => {
            commands::run_binary("bench", &rest[1..])
        }
        "bench" => commands::bench(&rest),
        "" | "help" | "--help" | "-h" => {
            commands::print(USAGE);
            Ok(ExitCode::SUCCESS)
        }
        unknown => Err(anyhow::anyhow!("no command {unknown:?}\n\n{USAGE}")),
    };
    outcome.unwrap_or_else(|error| {
        commands::say(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}
