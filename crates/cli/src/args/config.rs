//! `experiments config`.

use clap::{Subcommand, ValueEnum};

use super::groups::ChangeArgs;
use super::values::at_least_one;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the whole config of a scale as TOML, with the meaning of each key
    ///
    /// The resolved config, as in run.json. It is not a scale file.
    #[command(after_help = "Example:\n\
        \x20 experiments config show cifar10 --set recipe.batch_size=32")]
    Show {
        /// Name of a scale (see `list`) or path of a TOML file
        scale: String,
        /// Number of epochs [default: from the scale]
        #[arg(long, value_name = "N", value_parser = at_least_one)]
        epochs: Option<usize>,
        #[command(flatten)]
        changes: ChangeArgs,
    },
    /// Print the JSON schema of a kind of TOML file, for editors
    #[command(after_help = "Example:\n\
        \x20 experiments config schema ablation > ablation.schema.json\n\
        Then the first line of a file can be `#:schema ./ablation.schema.json`, which taplo and editors that use it read.")]
    Schema {
        /// Kind of file: scale, ablation, network, data-set, design or audit
        #[arg(hide_possible_values = true)]
        kind: ConfigKind,
    },
}

/// A kind of TOML file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigKind {
    /// Network, data and recipe of a study.
    Scale,
    /// A question with its arms.
    Ablation,
    /// Layers and their sizes.
    Network,
    /// A data set's manifest.
    DataSet,
    /// How a comparison is decided.
    Design,
    /// Statements of a paper.
    Audit,
}
