//! The arguments of the command line, a module for each group of commands.

mod ablation;
mod analyze;
mod audit;
mod bench;
mod config;
mod data;
mod figures;
mod groups;
mod run;
mod values;
mod weights;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use ablation::{AblationArgs, PowerArgs, ReportArgs, SlurmArgs, SubmitCommand, WorkArgs};
pub(crate) use analyze::{
    AnalyzeCommand, CodesArgs, ConfusionArgs, EmbeddingArgs, EvidenceArgs, GalleryArgs, GradCamArgs,
    KernelsArgs, LocalizeArgs, LookArgs, MapsArgs, NearestArgs, OcclusionArgs, PredictionsArgs,
};
pub(crate) use audit::AuditArgs;
pub(crate) use bench::{
    BenchArgs, BenchCodesArgs, BenchCommand, BenchDataArgs, BenchNearestArgs, BenchView, TuneArgs,
};
pub(crate) use config::{ConfigCommand, ConfigKind};
pub(crate) use data::{DataArgs, DataCommand, PrepareArgs, ShowArgs};
pub(crate) use figures::FiguresArgs;
pub(crate) use groups::{ChangeArgs, ExecutionArgs, FormatArgs, MachineArgs, Origin, OwnArgs, SetArgs};
pub(crate) use run::{EvaluateArgs, FindRateArgs, LabelArgs, ModelArgs, RunsCommand, TrainArgs, WatchArgs};
pub(crate) use values::{Format, PredictFormat};
pub(crate) use weights::{NamesArg, PredictArgs, WeightsCommand};

/// AlexNet (Krizhevsky, Sutskever & Hinton 2012): each claim of the paper as an ablation, trained on real
/// images and reported with paired statistics over seeds.
#[derive(Debug, Parser)]
#[command(name = "experiments", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train the arms of an ablation over several seeds and compare them
    ///
    /// Finished runs are reused and unfinished runs resume, so repeating the command after an interruption
    /// gives the same table.
    Ablation(AblationArgs),
    /// Test all statements of the paper, by designs that are fixed in advance
    ///
    /// Trains what is missing and writes audit.md, audit.html and audit.json. Repeating the command after an
    /// interruption goes on where it stopped.
    Audit(AuditArgs),
    /// Train one network at a scale
    ///
    /// A finished run is reused and an unfinished run resumes, so repeating the command after an interruption
    /// gives the same weights.
    Train(TrainArgs),
    /// Find a learning rate: train a few steps with a rising rate and draw the loss
    FindRate(FindRateArgs),
    /// Evaluate finished runs on the test set, individually or as an ensemble
    Evaluate(EvaluateArgs),
    /// Regenerate the report of ablations (index.html, report.json, runs.csv) or the page of runs
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
    /// List ablations, scales, presets, backends of this build and data sets on this machine
    List,
    /// Download, prepare, check or describe a data set
    #[command(subcommand)]
    Data(DataCommand),
    /// Show the config of a scale with the meaning of each key, or the schema of a file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show a network layer by layer, or the differences between two networks
    Model(ModelArgs),
    /// Inspect or convert a weights file
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Classify photographs with trained or published weights
    Predict(PredictArgs),
    /// Analyze a network: kernels, feature maps, errors, nearest images, codes, boxes, saliency
    #[command(subcommand)]
    Analyze(AnalyzeCommand),
    /// Draw a set of figures for a lecture, as SVG and PNG with captions
    ///
    /// They need no download: weights, curves, verdicts and images are in the repository.
    Figures(FiguresArgs),
    /// Measure training or inference speed, layer by layer, with synthetic images
    Bench(BenchArgs),
    /// Try out the GPU kernels of a network, once for all later processes
    ///
    /// Each command that trains on a GPU does so before its first step. What was chosen is kept in a folder, which can be copied
    /// to machines of the same kind.
    Tune(TuneArgs),
    /// Show what this build and this machine can do, and how to get the rest
    Doctor {
        #[command(flatten)]
        output: FormatArgs,
    },
    /// Print a shell completion script
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
}

/// Parses the arguments of this process. `-h`, `--help` and `help` print only the first paragraph of each
/// option's help, so that the whole fits a screen. docs/commands.md has all paragraphs.
pub(crate) fn parse() -> Cli {
    let matches = with_short_help(Cli::command()).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn with_short_help(command: clap::Command) -> clap::Command {
    let command = command.long_about(None::<&str>).mut_args(|arg| arg.long_help(None::<&str>));
    command.mut_subcommands(with_short_help)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the words that select each command, the program's name first.
    fn paths(command: &clap::Command, before: &[String]) -> Vec<Vec<String>> {
        let path = [before, &[command.get_name().to_owned()]].concat();
        let below = command.get_subcommands().flat_map(|command| paths(command, &path));
        std::iter::once(path.clone()).chain(below).collect()
    }

    #[test]
    fn every_help_fits_a_screen() {
        let command = with_short_help(Cli::command()).term_width(100);
        for path in paths(&command, &[]) {
            let help = |flag: &str| {
                let words = path.iter().cloned().chain([flag.to_owned()]);
                command.clone().try_get_matches_from(words).unwrap_err().to_string()
            };
            let short = help("-h");
            assert_eq!(short, help("--help"), "{path:?}");
            assert!(short.lines().count() <= 50, "{short}");
            assert!(short.lines().all(|line| line.chars().count() <= 100), "{short}");
        }
    }
}
