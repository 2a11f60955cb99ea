//! The arguments of the command line, a module for each group of commands.

mod ablation;
mod analyze;
mod bench;
mod data;
mod run;
mod shared;
mod weights;

use clap::Parser;
use clap::Subcommand;

pub(crate) use ablation::{AblationArgs, PowerArgs, ReportArgs, SlurmArgs, SubmitCommand, WorkArgs};
pub(crate) use analyze::{
    AnalyzeCommand, CodesArgs, EvidenceArgs, GalleryArgs, KernelsArgs, LocalizeArgs, LookArgs, MapsArgs,
    NearestArgs, OcclusionArgs, PredictionsArgs,
};
pub(crate) use bench::{BenchArgs, BenchCodesArgs, BenchCommand, BenchDataArgs, BenchNearestArgs, BenchView};
pub(crate) use data::{DataArgs, DataCommand, PrepareArgs, ShowArgs};
pub(crate) use run::{EvaluateArgs, ModelArgs, RunsCommand, TrainArgs, WatchArgs};
pub(crate) use shared::{CommonArgs, Format, MachineArgs, Origin, Sum};
pub(crate) use weights::{NamesArg, PredictArgs, WeightsCommand};

/// AlexNet (Krizhevsky, Sutskever & Hinton 2012): each claim of the paper as an ablation, trained on real images and
/// reported with paired statistics over seeds.
#[derive(Debug, Parser)]
#[command(name = "experiments", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train the arms of an ablation over several seeds and compare them
    ///
    /// Finished runs are reused and unfinished runs resume, so repeating the command after an interruption gives the
    /// same table.
    Ablation(AblationArgs),
    /// Train one network at a scale
    Train(TrainArgs),
    /// Evaluate finished runs on the test set, individually or as an ensemble
    Evaluate(EvaluateArgs),
    /// Regenerate the report of one or more ablations: index.html, report.json and runs.csv
    Report(ReportArgs),
    /// Estimate how many seeds would decide the undecided arms of an ablation
    Power(PowerArgs),
    /// List, show or compare runs
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Show the runs in progress in a folder, from any process or machine
    Watch(WatchArgs),
    /// Train an ablation on a cluster
    #[command(subcommand)]
    Submit(SubmitCommand),
    /// Train runs of an ablation that another process started (used by `--jobs` and `submit`)
    #[command(hide = true)]
    Work(WorkArgs),
    /// List ablations, scales, presets, the backends of this build and the data sets found on this machine
    List,
    /// Download, prepare, check or describe a data set
    #[command(subcommand)]
    Data(DataCommand),
    /// Show a network layer by layer, or the differences between two networks
    Model(ModelArgs),
    /// Inspect or convert a weights file
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Classify photographs with trained or published weights
    Predict(PredictArgs),
    /// Analyze a trained network: kernels, feature maps, errors, nearest images, codes, boxes, occlusion, saliency
    #[command(subcommand)]
    Analyze(AnalyzeCommand),
    /// Measure training or inference speed on this machine, layer by layer, with synthetic images
    Bench(BenchArgs),
    /// Print a shell completion script
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
}
