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
  generate --support DIR -o DIR
                              a small CNN of a folder with a few pictures of each class
  add-class, remove-class BUNDLE
                              that CNN with a further class, or without one
  predict BUNDLE PICTURE ..   classify pictures
  verify BUNDLE               its digests, and the logits of its golden images
  export BUNDLE --format F -o FILE
                              one file for another program
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

/// What the binary does under the same name.
const OF_THE_BINARY: [&str; 16] = [
    "train",
    "evaluate",
    "explain",
    "compare",
    "reproduce",
    "models",
    "generate",
    "add-class",
    "remove-class",
    "predict",
    "verify",
    "export",
    "episodes",
    "inspect",
    "parity",
    "import-tf",
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match command.as_str() {
        known if OF_THE_BINARY.contains(&known) => commands::run_binary(known, &rest),
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

#[cfg(test)]
mod tests {
    use super::*;

    const OF_ITS_OWN: [&str; 5] = ["test", "kill-test", "fuzz", "tidy", "bench"];

    /// The word behind each `cargo xtask` of a text.
    fn commands_in(text: &str) -> Vec<&str> {
        text.split("cargo xtask ")
            .skip(1)
            .filter_map(|rest| {
                rest.split(|c: char| !c.is_ascii_lowercase() && c != '-')
                    .next()
            })
            .filter(|word| !word.is_empty())
            .collect()
    }

    #[test]
    fn every_command_of_the_documents_exists_and_is_explained() {
        let known = |word: &str| OF_THE_BINARY.contains(&word) || OF_ITS_OWN.contains(&word);
        let docs = commands::root().join("docs");
        let mut n_commands = 0;
        for name in [
            "../README.md",
            "commands.md",
            "paper.md",
            "results.md",
            "reliability.md",
        ] {
            let text = std::fs::read_to_string(docs.join(name)).expect("a document");
            for word in commands_in(&text) {
                assert!(known(word), "{name}: cargo xtask {word}");
                n_commands += 1;
            }
        }
        assert!(n_commands > 30, "{n_commands}");
        for word in OF_THE_BINARY.iter().chain(&OF_ITS_OWN) {
            assert!(USAGE.contains(&format!(" {word}")), "{word}");
        }
    }

    /// The binary's enum of commands, read as text: it is built with Burn, and this is not.
    #[test]
    fn every_command_of_the_binary_can_be_reached() {
        let path = commands::root().join("crates/hypertransformer/src/args.rs");
        let text = std::fs::read_to_string(path).expect("the arguments");
        let (_, commands) = text
            .split_once("pub(crate) enum Command {")
            .expect("an enum");
        let (commands, _) = commands.split_once("\n}").expect("its end");
        let names = commands
            .lines()
            .filter_map(|line| line.trim().strip_suffix("),"));
        let names = names.filter_map(|line| line.split_once('(').map(|(name, _)| kebab(name)));
        let names: Vec<String> = names.filter(|name| name != "bench").collect();
        assert_eq!(names.len(), OF_THE_BINARY.len(), "{names:?}");
        for name in names {
            assert!(OF_THE_BINARY.contains(&name.as_str()), "{name}");
        }
    }

    fn kebab(name: &str) -> String {
        let mut kebab = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() && !kebab.is_empty() {
                kebab.push('-');
            }
            kebab.push(letter.to_ascii_lowercase());
        }
        kebab
    }
}
