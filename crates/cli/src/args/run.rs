//! Single runs and networks.

use std::path::PathBuf;

use alexnet_data::Views;
use clap::{Args, Subcommand};

use super::groups::{
    BackendArgs, ChangeArgs, CommonArgs, ExecutionArgs, FormatArgs, Origin, OwnArgs, SetArgs,
};
use super::values::{at_least_one, rate, some_steps, views};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments train --data PHOTOGRAPHS    (class folders, a tar of them, …)\n\
    \x20 experiments train --data PHOTOGRAPHS --from torchvision --freeze conv1,conv2\n\
    \x20 experiments train mini --seed 1\n\
    \x20 experiments train cifar10 --data cifar10-images.tar --set recipe.batch_size=32\n\
    \x20 experiments train cifar10 --from WEIGHTS --new fc8 --freeze conv1,conv2")]
pub(crate) struct TrainArgs {
    /// Name of a scale (see `list`) or path of a TOML file [default: fits the images of `--data`]
    pub(crate) config: Option<String>,
    /// Seed for weights, order of images, augmentation and dropout
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Fine-tune: initial weights, a run folder or a file as for `predict`
    ///
    /// Images are preprocessed as for these weights.
    #[arg(long, value_name = "WEIGHTS")]
    pub(crate) from: Option<PathBuf>,
    /// Layers to initialize despite `--from`, e.g. fc8 for other classes
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',', requires = "from")]
    pub(crate) new: Vec<String>,
    /// Layers whose weights do not change
    ///
    /// Batch normalization still updates its running averages. Set other learning rates with
    /// `--set network.conv.conv1.update={…}`.
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',')]
    pub(crate) freeze: Vec<String>,
    #[command(flatten)]
    pub(crate) label: LabelArgs,
    #[command(flatten)]
    pub(crate) own: OwnArgs,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The name and tags of a run.
#[derive(Debug, Clone, Args)]
pub(crate) struct LabelArgs {
    /// Name of the run in `runs list`; does not change its folder
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Tag of the run, for `runs list --tag`; repeatable
    #[arg(long)]
    pub(crate) tag: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments find-rate mini\n\
    \x20 experiments find-rate --data PHOTOGRAPHS --to 0.1")]
pub(crate) struct FindRateArgs {
    /// Name of a scale (see `list`) or path of a TOML file [default: fits the images of `--data`]
    pub(crate) config: Option<String>,
    /// Learning rate of the first step
    #[arg(long, value_name = "RATE", value_parser = rate, default_value_t = 1e-5)]
    pub(crate) from: f64,
    /// Learning rate of the last step
    #[arg(long, value_name = "RATE", value_parser = rate, default_value_t = 1.0)]
    pub(crate) to: f64,
    /// Number of steps
    #[arg(long, value_name = "N", value_parser = some_steps, default_value_t = 300)]
    pub(crate) steps: usize,
    /// Seed for weights, order of images, augmentation and dropout
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) changes: ChangeArgs,
    /// Output folder for the picture and a JSON file
    #[arg(long, value_name = "DIR", default_value = "analysis")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) own: OwnArgs,
    #[command(flatten)]
    pub(crate) execution: ExecutionArgs,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments evaluate runs/mini-* --ensemble\n\
    \x20 experiments evaluate torchvision --data imagenet-shards --views 10")]
pub(crate) struct EvaluateArgs {
    /// Run folders, or one weights file (as for `predict`) for the test images of `--data`
    #[arg(required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// Views per test image, 1 or 10 [default: from each run's config]
    ///
    /// The softmax outputs of the views are averaged.
    #[arg(long, value_parser = views(), hide_possible_values = true)]
    pub(crate) views: Option<Views>,
    /// Also average the softmax outputs of all runs
    #[arg(long)]
    pub(crate) ensemble: bool,
    #[command(flatten)]
    pub(crate) machine: BackendArgs,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
    #[command(flatten)]
    pub(crate) origin: Origin,
    #[command(flatten)]
    pub(crate) data: SetArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the runs in a folder
    List {
        /// Folder of the runs
        #[arg(default_value = "runs")]
        folder: PathBuf,
        /// List only runs with this tag
        #[arg(long)]
        tag: Option<String>,
        #[command(flatten)]
        output: FormatArgs,
    },
    /// Give runs a name or tags
    Label {
        /// Run folders
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        #[command(flatten)]
        label: LabelArgs,
    },
    /// Show the config, progress and result of a run
    Show {
        /// Run folder
        run: PathBuf,
        #[command(flatten)]
        output: FormatArgs,
    },
    /// Compare the configs and results of two runs
    Diff {
        /// First run folder
        one: PathBuf,
        /// Second run folder
        other: PathBuf,
        #[command(flatten)]
        output: FormatArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Folder of the runs
    #[arg(default_value = "runs")]
    pub(crate) folder: PathBuf,
    /// Refresh interval in seconds
    ///
    /// Without a terminal, the status is printed once.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pub(crate) every: u64,
    /// Print the status once, even in a terminal
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments model alexnet-2012 --devices cuda:0,cuda:1\n\
    \x20 experiments model alexnet-2012 --diff torchvision")]
pub(crate) struct ModelArgs {
    /// Network: name of a preset (see `list`) or path of a TOML file
    pub(crate) name: String,
    /// Show the differences to this network instead
    #[arg(long, value_name = "OTHER")]
    pub(crate) diff: Option<String>,
    /// Show the device of each tower and the data they exchange
    ///
    /// Any device names are accepted.
    #[arg(long, value_name = "B,B", value_delimiter = ',', conflicts_with = "diff")]
    pub(crate) devices: Vec<String>,
    /// Batch size for the data exchanged in a step
    ///
    /// Krizhevsky et al. 2012, §5: 128.
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 128)]
    pub(crate) batch: usize,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
}
