//! Single runs and networks.

use super::shared::{CommonArgs, Format, Origin, at_least_one, views};
use alexnet_data::Views;
use alexnet_ops::Backend;
use clap::Args;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments train mini --seed 1\n\
    \x20 experiments train cifar10 --data cifar10-images.tar --set recipe.batch_size=32\n\
    \x20 experiments train cifar10 --from WEIGHTS --new fc8 --freeze conv1,conv2")]
pub(crate) struct TrainArgs {
    /// Name of a scale (see `list`) or path of a TOML file
    pub(crate) config: String,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Seed for the initial weights, the order of images, augmentation and dropout
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Fine-tune: initial weights, a run folder or a file as for `predict`; images are preprocessed as for these
    /// weights
    #[arg(long, value_name = "WEIGHTS")]
    pub(crate) from: Option<PathBuf>,
    /// Layers to initialize randomly despite `--from`, e.g. `fc8` for other classes
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',', requires = "from")]
    pub(crate) new: Vec<String>,
    /// Layers to freeze (batch normalization still updates its running averages); set other learning rates with
    /// `--set network.conv.conv1.update={…}`
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',')]
    pub(crate) freeze: Vec<String>,
    /// Output format: lines of text or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Run folders, or one weights file (as for `predict`) to evaluate on the test images of `--data`
    #[arg(required = true)]
    pub(crate) runs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) origin: Origin,
    /// For a weights file: name of the data set, where its files do not identify it (cifar10, fashion-mnist)
    #[arg(long, value_name = "NAME")]
    pub(crate) set: Option<String>,
    /// Number of views per test image whose softmax outputs are averaged [default: from each run's config]
    #[arg(long, value_parser = views)]
    pub(crate) views: Option<Views>,
    /// Also average the softmax outputs of all runs
    #[arg(long)]
    pub(crate) ensemble: bool,
    /// Folder, tar or tar.gz of the data set [default: where `list` finds it]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// Backend [default: the first in this build]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// Output format: lines of text or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the runs in a folder
    List {
        /// Folder of the runs
        #[arg(default_value = "runs")]
        folder: PathBuf,
        /// Output format: a table or one JSON value
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show the config, progress and result of a run
    Show {
        /// Run folder
        run: PathBuf,
        /// Output format: text or one JSON value
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Compare the configs and results of two runs
    Diff {
        /// First run folder
        one: PathBuf,
        /// Second run folder
        other: PathBuf,
        /// Output format: text or one JSON value
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Folder of the runs
    #[arg(default_value = "runs")]
    pub(crate) folder: PathBuf,
    /// Refresh interval in seconds; without a terminal the status is printed once
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pub(crate) every: u64,
    /// Print the status once, even in a terminal
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Network: name of a preset (see `list`) or path of a TOML file
    pub(crate) name: String,
    /// Show the differences to this network instead
    #[arg(long, value_name = "OTHER")]
    pub(crate) diff: Option<String>,
    /// Show the device of each tower and the data they exchange; any device names are accepted
    #[arg(long, value_name = "B,B", value_delimiter = ',', conflicts_with = "diff")]
    pub(crate) devices: Vec<String>,
    /// Batch size for the data exchanged in a step (Krizhevsky et al. 2012, §5: 128)
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 128)]
    pub(crate) batch: usize,
    /// Output format: a table or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}
