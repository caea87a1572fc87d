//! Options of the commands that make and use bundles.

use std::path::PathBuf;

use clap::ValueEnum;

use super::ComputeArgs;

#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    /// Folder with a folder of PNG or JPEG pictures for each class, and perhaps one called unlabelled.
    #[arg(long, value_name = "DIR")]
    pub(crate) support: PathBuf,
    /// Folder of the bundle to write.
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// The generator: a model or a run [default: the model of --models that fits the pictures].
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Folder of the models [default: models].
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
    /// Swap light and dark: generators of drawings read bright ink on black.
    #[arg(long, value_enum, default_value_t = Invert::Auto)]
    pub(crate) invert: Invert,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whether light and dark are swapped.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Invert {
    /// If the generator reads drawings and most pictures have light borders.
    Auto,
    Always,
    Never,
}

/// A bundle that is written anew by its generator.
#[derive(Debug, clap::Args)]
pub(crate) struct RewriteArgs {
    /// The bundle.
    pub(crate) bundle: PathBuf,
    /// Folder of the new bundle [default: in the place of the old one].
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// The generator [default: the model of --models that wrote the bundle].
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Folder of the models [default: models].
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddClassArgs {
    #[command(flatten)]
    pub(crate) rewrite: RewriteArgs,
    /// Folder with the pictures of the class.
    pub(crate) pictures: PathBuf,
    /// Name of the class [default: that of the folder].
    #[arg(long)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RemoveClassArgs {
    #[command(flatten)]
    pub(crate) rewrite: RewriteArgs,
    /// The class.
    pub(crate) name: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PredictArgs {
    /// The bundle.
    pub(crate) bundle: PathBuf,
    /// Pictures, or folders of them.
    #[arg(required = true)]
    pub(crate) pictures: Vec<PathBuf>,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The bundle.
    pub(crate) bundle: PathBuf,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// The bundle.
    pub(crate) bundle: PathBuf,
    /// What to write.
    #[arg(long, value_enum)]
    pub(crate) format: ExportFormat,
    /// Weights of 8 bits, four times smaller (not in ONNX).
    #[arg(long)]
    pub(crate) int8: bool,
    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Print one JSON object on the last line of stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Files that other programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// The device file, for the crate ht-runtime.
    Device,
    /// ONNX, for any runtime of it.
    Onnx,
    /// One header of C99.
    C,
}
