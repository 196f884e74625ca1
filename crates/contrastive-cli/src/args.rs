//! The command line.

use crate::reading::Reading;
use crate::registry;
use crate::table::FileKind;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// Contrastive learning from the command line: recommenders, nodes of graphs, sequences, time series, sentences, images.
#[derive(Parser, Clone, Debug)]
#[command(name = "contrastive", version, arg_required_else_help = true, after_help = AFTER)]
pub struct Cli {
    /// Print the result as one JSON object.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "\
A run of three commands:
  contrastive train lightgcn --data ratings.csv --run-dir runs/mine
  contrastive evaluate runs/mine
  contrastive recommend runs/mine --user 42 --out user42.csv

Results go to standard output, notes and progress to standard error. Exit codes: 0 done, 1 something is wrong with data, settings or
files, 2 something is wrong with the command line, 130 interrupted with a checkpoint to go on from (--resume).";

/// What to do.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// List the methods, or the settings of one.
    Methods(MethodsArgs),
    /// Train a method and write a run folder.
    Train(Box<TrainArgs>),
    /// Score a run.
    Evaluate(EvaluateArgs),
    /// Write embeddings: of a run, or of other data with its model.
    Embed(Box<EmbedArgs>),
    /// The best items for users.
    Recommend(RecommendArgs),
    /// What lies nearest.
    #[command(alias = "neighbours")]
    Neighbors(NeighborsArgs),
    /// What a file or folder is taken for, and what of it was passed over.
    Info(Box<InfoArgs>),
    /// One HTML page of one or several runs.
    Report(ReportArgs),
    /// A completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// The names of the registry: they are listed in the help, completed, and a mistyped one is told the nearest.
fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(registry::methods().iter().map(|method| method.name).collect::<Vec<_>>())
}

fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(crate::domain::domains().iter().map(|domain| domain.name()).collect::<Vec<_>>())
}

/// `methods`.
#[derive(Args, Clone, Debug)]
pub struct MethodsArgs {
    /// Show the settings of this method, as a TOML file for --config.
    #[arg(value_parser = names())]
    pub method: Option<String>,
    /// Only those that learn from this kind of data.
    #[arg(long, value_parser = kinds())]
    pub domain: Option<String>,
}

/// `train`.
#[derive(Args, Clone, Debug)]
pub struct TrainArgs {
    /// The method; with --resume that of the run folder.
    #[arg(value_parser = names(), required_unless_present = "resume")]
    pub method: Option<String>,
    /// A file or folder of data.
    #[arg(long, required_unless_present_any = ["resume", "generated"], conflicts_with = "generated")]
    pub data: Option<PathBuf>,
    /// A small generated data set in place of --data, to try a method.
    #[arg(long)]
    pub generated: bool,
    /// Settings from a TOML file (`contrastive methods METHOD` prints one).
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// One setting, key=value, after those of --config; again for more.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Passes over the data; without, those of the settings.
    #[arg(long, conflicts_with = "steps")]
    pub epochs: Option<usize>,
    /// Steps, in place of epochs.
    #[arg(long)]
    pub steps: Option<usize>,
    /// Seed of all randomness (7).
    #[arg(long)]
    pub seed: Option<u64>,
    /// The run folder (runs/METHOD).
    #[arg(long)]
    pub run_dir: Option<PathBuf>,
    /// Go on with the run of the folder, with what it was started with.
    #[arg(long)]
    pub resume: bool,
    /// Replace the run of the folder.
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,
    /// A setting that may differ when a run is resumed; again for more.
    #[arg(long, value_name = "NAME", requires = "resume")]
    pub allow_change: Vec<String>,
    /// Evaluate after every so many epochs; 0: only at the end (1).
    #[arg(long)]
    pub evaluate_every: Option<usize>,
    /// Stop after so many evaluations without a better metric, and take the best epoch.
    #[arg(long)]
    pub patience: Option<usize>,
    /// The metric that --patience watches.
    #[arg(long, requires = "patience")]
    pub metric: Option<String>,
    /// auto, flex (CPU), ndarray, wgpu, vulkan, metal, cuda, ... as compiled in.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// No progress.
    #[arg(long)]
    pub quiet: bool,
    /// How the data is read.
    #[command(flatten)]
    pub reading: Reading,
}

/// `evaluate`.
#[derive(Args, Clone, Debug)]
pub struct EvaluateArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Cutoffs of rankings.
    #[arg(long, value_delimiter = ',', default_value = "10,20")]
    pub at: Vec<usize>,
    /// Seed of the random splits of probes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Sentences: a file of scored pairs in the layout of STS-B.
    #[arg(long)]
    pub pairs: Option<PathBuf>,
    /// As for train.
    #[arg(long, default_value = "auto")]
    pub device: String,
}

/// `embed`.
#[derive(Args, Clone, Debug)]
pub struct EmbedArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Other data for its model, of the same kind; without, the embeddings of the run.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Which embeddings of the run, where it has several.
    #[arg(long, conflicts_with = "data")]
    pub table: Option<String>,
    /// The file: .npy (with the ids in a .csv beside it), .safetensors, .csv or, built with the feature `parquet`, .parquet.
    #[arg(long)]
    pub out: PathBuf,
    /// What is written, whatever the ending.
    #[arg(long)]
    pub as_kind: Option<FileKind>,
    /// As for train.
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// How the data is read.
    #[command(flatten)]
    pub reading: Reading,
}

/// `recommend`.
#[derive(Args, Clone, Debug)]
pub struct RecommendArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Users by their ids in the data, with commas between.
    #[arg(long = "user", value_delimiter = ',', required_unless_present_any = ["all", "after"])]
    pub users: Vec<String>,
    /// All users.
    #[arg(long, conflicts_with = "users")]
    pub all: bool,
    /// Sequences: what somebody has taken, in order, with commas between.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["users", "all"])]
    pub after: Vec<String>,
    /// How many for each.
    #[arg(short, default_value_t = 10)]
    pub k: usize,
    /// Items that a user has already may be recommended.
    #[arg(long)]
    pub keep_seen: bool,
    /// A CSV file (user, rank, item, score) instead of standard output.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// As for train.
    #[arg(long, default_value = "auto")]
    pub device: String,
}

/// `neighbors`.
#[derive(Args, Clone, Debug)]
pub struct NeighborsArgs {
    /// The run folder, or a .npy with its ids in a .csv beside it, as `embed` writes them.
    pub run: PathBuf,
    /// Ids in the data (lines for sentences), with commas between.
    #[arg(long = "id", value_delimiter = ',', required_unless_present = "text")]
    pub ids: Vec<String>,
    /// Sentences: a text that need not be in the data; again for more.
    #[arg(long, conflicts_with = "ids")]
    pub text: Vec<String>,
    /// Which embeddings of the run, where it has several.
    #[arg(long)]
    pub table: Option<String>,
    /// How many.
    #[arg(short, default_value_t = 10)]
    pub k: usize,
    /// The inner product instead of the cosine.
    #[arg(long)]
    pub inner_product: bool,
    /// Search a graph of near rows (HNSW) instead of all of them, and say how many of the exact neighbours it finds. To make the graph takes
    /// longer than one exact search: it pays for thousands of queries. Built with the feature `approximate`.
    #[arg(long, conflicts_with = "inner_product")]
    pub approximate: bool,
    /// A CSV file (query, rank, id, score) instead of standard output.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// As for train.
    #[arg(long, default_value = "auto")]
    pub device: String,
}

/// `info`.
#[derive(Args, Clone, Debug)]
pub struct InfoArgs {
    /// The file or folder.
    pub file: PathBuf,
    /// Read it as this kind of data; without, as all kinds, and those that fit are shown.
    #[arg(long = "as", value_parser = kinds())]
    pub kind: Option<String>,
    /// How the data is read.
    #[command(flatten)]
    pub reading: Reading,
}

/// `report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// The run folders.
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// The page.
    #[arg(long, default_value = "report.html")]
    pub out: PathBuf,
}
