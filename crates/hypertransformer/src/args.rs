//! What can be typed: commands, options and their help.

mod deploy;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use ht_cnn::NormStatistics;
use ht_episodes::Split;
use ht_train::Override;

pub(crate) use deploy::{
    AddClassArgs, ExportArgs, ExportFormat, GenerateArgs, Invert, PredictArgs, RemoveClassArgs,
    RewriteArgs, VerifyArgs,
};

use crate::device::DeviceName;

/// More would not fit in memory.
const MOST_EPISODES: u64 = 1_000_000;

/// A transformer that looks at a few labelled images and writes the weights of a small CNN.
#[derive(Debug, Parser)]
#[command(name = "hypertransformer", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a generator and test it.
    Train(TrainArgs),
    /// Measure a trained generator or baseline on fixed episodes.
    Evaluate(EvaluateArgs),
    /// Show what a trained generator or baseline has learned, as one page with figures.
    Explain(ExplainArgs),
    /// Compare two tests on the same episodes, paired by episode.
    Compare(CompareArgs),
    /// Train and measure the rows of the tables in docs/results.md.
    Reproduce(ReproduceArgs),
    /// List the trained models that come with the repository.
    Models(ModelsArgs),
    /// Make a small CNN of a folder with a few pictures of each class.
    Generate(GenerateArgs),
    /// Write the CNN of a bundle anew with a further class.
    AddClass(AddClassArgs),
    /// Write the CNN of a bundle anew without a class.
    RemoveClass(RemoveClassArgs),
    /// Classify pictures with the CNN of a bundle.
    Predict(PredictArgs),
    /// Check a bundle: its digests, and the logits of its golden images.
    Verify(VerifyArgs),
    /// Write one file of a bundle for another program.
    Export(ExportArgs),
    /// Write a list of test episodes for `evaluate --episodes-from`.
    Episodes(EpisodesArgs),
    /// Show the layers, tokens and sizes of an experiment or a run.
    Inspect(InspectArgs),
    /// Measure the rate of training steps, and how far it is from the floor.
    Bench(BenchArgs),
    /// Repeat recorded steps of the released code and compare every tensor.
    Parity(ParityArgs),
    /// Make a run from a checkpoint of the released code.
    ImportTf(ImportArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// The experiment [default: the episode of the released Omniglot script, on glyphs].
    pub(crate) config: Option<PathBuf>,
    /// Folder of the data set, where the experiment reads one.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Change a key of the experiment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<Override>,
    /// Steps to measure, after three that warm up; as many generations.
    #[arg(long, default_value_t = 30, value_parser = at_least_one)]
    pub(crate) steps: usize,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if 0.0 < share && share < 1.0 => Ok(share),
        _ => Err("expected a number between 0 and 1".to_owned()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number from 1 on".to_owned()),
        Ok(number) => Ok(number),
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ParityArgs {
    /// Folder of the recorded cases [default: `HT_PARITY_DIR` or ../shared/parity].
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// The checkpoint's variables under their TensorFlow names, as a safetensors file.
    pub(crate) checkpoint: PathBuf,
    /// The experiment that describes the same model, for example configs/paper/omniglot-1shot.toml.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Run directory to make [default: the next free runs/NAME].
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,
    /// Folder of the data set, for later evaluations.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Change a key of the experiment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<Override>,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TrainArgs {
    /// The experiment [default: the built-in configs/quickstart.toml, or the run's own with --resume].
    pub(crate) config: Option<PathBuf>,
    /// Run directory [default: the next free runs/NAME].
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,
    /// Go on with the run in --run.
    #[arg(long, requires = "run")]
    pub(crate) resume: bool,
    /// Start from the best checkpoint of another run of the same generator.
    #[arg(long, value_name = "RUN", conflicts_with = "resume")]
    pub(crate) start: Option<PathBuf>,
    /// Start from the image encoder (and class head) of another run, with the rest random.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["resume", "start"])]
    pub(crate) image_encoder_from: Option<PathBuf>,

    /// Start from all parameters of another run that fit here by name and shape, with the rest
    /// random: a generator for other ways, shots or another CNN
    #[arg(long, value_name = "RUN", conflicts_with_all = ["resume", "start", "image_encoder_from"])]
    pub(crate) fitting_from: Option<PathBuf>,
    /// Folder of the data set, where the experiment reads one.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Change a key of the experiment, for example --set training.steps=100.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<Override>,
    /// Leave out steps whose loss or gradient is no number or too large, and count them.
    #[arg(long)]
    pub(crate) skip_bad_steps: bool,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON object on the last line of stdout; progress goes to stderr.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EvaluateArgs {
    /// Run directory.
    #[arg(long, value_name = "DIR", required_unless_present = "model")]
    pub(crate) run: Option<PathBuf>,
    /// A model in the place of a run, for example models/omniglot-20way-1shot.
    #[arg(long, value_name = "DIR", conflicts_with = "run")]
    pub(crate) model: Option<PathBuf>,
    /// Classes to draw episodes from.
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    pub(crate) split: SplitName,
    /// Episodes [default: as many as the run's own test].
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..=MOST_EPISODES))]
    pub(crate) episodes: Option<u64>,
    /// A list of episodes that `episodes` wrote, in place of a split.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["split", "episodes"])]
    pub(crate) episodes_from: Option<PathBuf>,
    /// Write the result of each episode as JSON lines, for `compare`.
    #[arg(long, value_name = "FILE")]
    pub(crate) per_episode: Option<PathBuf>,
    /// Normalise query images with other statistics than in training.
    #[arg(long, value_enum)]
    pub(crate) norm_statistics: Option<NormName>,
    /// Change what it is measured on: a key of episodes, evaluation, data or split.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<Override>,
    /// Share of images of other classes that may be accepted, for the rejection threshold.
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    pub(crate) false_accept_rate: f64,
    /// Folder of the data set [default: the run's].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Run directory.
    #[arg(required_unless_present = "model")]
    pub(crate) run: Option<PathBuf>,
    /// A model in the place of a run, for example models/omniglot-20way-1shot.
    #[arg(long, value_name = "DIR", conflicts_with = "run", requires = "out")]
    pub(crate) model: Option<PathBuf>,
    /// Folder of the data set [default: the run's].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Episodes whose generated weights are compared, and training episodes over which convolutions
    /// are averaged.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(3..=1000))]
    pub(crate) episodes: u64,
    /// Episodes to count confusions and calibration on [default: as many as the run's own test].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=MOST_EPISODES))]
    pub(crate) test_episodes: Option<u64>,
    /// Folder of the page and its figures [default: RUN/explain].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whose statistics normalise the query images.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum NormName {
    QueryBatch,
    Support,
}

impl From<NormName> for NormStatistics {
    fn from(name: NormName) -> Self {
        match name {
            NormName::QueryBatch => Self::QueryBatch,
            NormName::Support => Self::Support,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// A run, or a file that `evaluate --per-episode` wrote.
    pub(crate) first: PathBuf,
    /// What it is compared with.
    pub(crate) second: PathBuf,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReproduceArgs {
    /// Rows of the table [default: all].
    pub(crate) rows: Vec<String>,
    /// Train one row again from nothing; it is an error if it is further from what is recorded than
    /// both intervals and what rounding does to a training.
    #[arg(long, value_name = "ROW", conflicts_with = "rows")]
    pub(crate) check: Option<String>,
    /// Folder of the data sets, a folder each.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Folder of the rows' runs.
    #[arg(long, value_name = "DIR", default_value = "runs/rows")]
    pub(crate) runs: PathBuf,
    /// The rows.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "configs/reproduce/rows.toml"
    )]
    pub(crate) table: PathBuf,
    /// What is known of them.
    #[arg(long, value_name = "FILE", default_value = "docs/results.json")]
    pub(crate) results: PathBuf,
    /// The document with the table.
    #[arg(long, value_name = "FILE", default_value = "docs/results.md")]
    pub(crate) document: PathBuf,
    /// Folder of the rows' results by episode, which rows are compared by.
    #[arg(long, value_name = "DIR", default_value = "docs/records")]
    pub(crate) records: PathBuf,
    /// Folder of the figures.
    #[arg(long, value_name = "DIR", default_value = "docs/figures")]
    pub(crate) figures: PathBuf,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ModelsArgs {
    /// Folder of the models.
    #[arg(long, value_name = "DIR", default_value = "models")]
    pub(crate) folder: PathBuf,
    /// Make a model of a finished run first.
    #[arg(long, value_name = "RUN", requires = "name")]
    pub(crate) add: Option<PathBuf>,
    /// Name of the new model.
    #[arg(long, requires = "add")]
    pub(crate) name: Option<String>,
    /// Folder of the data set of --add [default: the run's].
    #[arg(long, value_name = "DIR", requires = "add")]
    pub(crate) data: Option<PathBuf>,
    /// Share of images of other classes that may be accepted, for the rejection threshold.
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    pub(crate) false_accept_rate: f64,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EpisodesArgs {
    /// The experiment whose test episodes they are [default: the built-in configs/quickstart.toml].
    pub(crate) config: Option<PathBuf>,
    /// Folder of the data set, where the experiment reads one.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Classes to draw episodes from.
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    pub(crate) split: SplitName,
    /// Episodes.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=MOST_EPISODES))]
    pub(crate) episodes: u64,
    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Change a key of the experiment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<Override>,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// A config file or a run directory [default: the built-in configs/quickstart.toml].
    pub(crate) target: Option<PathBuf>,
    /// Change a key of the experiment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<Override>,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ComputeArgs {
    /// What to compute on.
    #[arg(long, value_enum, default_value_t = DeviceName::default())]
    pub(crate) device: DeviceName,
    /// CPU threads for independent micro-batches [default: all cores].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SplitName {
    Train,
    Validation,
    Test,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Train => Self::Train,
            SplitName::Validation => Self::Validation,
            SplitName::Test => Self::Test,
        }
    }
}
