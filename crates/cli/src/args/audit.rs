use std::path::PathBuf;

use clap::Args;

use super::groups::{FormatArgs, MachineArgs};
use super::values::{at_least_one, hours};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments audit\n\
    \x20 experiments audit --only fashion-lrn --budget 2\n\
    \x20 experiments audit paper --data cifar10=cifar10-images.tar --earlier docs/audit-runs.jsonl")]
pub(crate) struct AuditArgs {
    /// Name of an audit (see `list`) or path of a TOML file
    #[arg(default_value = "paper")]
    pub(crate) audit: String,
    /// Train only these designs; the others keep the results that they have
    #[arg(long, value_name = "DESIGN,…", value_delimiter = ',', help_heading = "Training")]
    pub(crate) only: Vec<String>,
    /// Hours after which training stops; 0 trains nothing
    ///
    /// The same command goes on where it stopped, to the same bits.
    #[arg(long, value_name = "HOURS", value_parser = hours, help_heading = "Training")]
    pub(crate) budget: Option<f64>,
    /// An audit-runs.jsonl whose finished runs are not trained again
    ///
    /// A run is taken over by its name, which stands for its config, seed, images and version of the results.
    #[arg(long, value_name = "FILE", help_heading = "Training")]
    pub(crate) earlier: Option<PathBuf>,
    /// Images of a data set, e.g. cifar10=PATH [default: where `list` finds them]; repeatable
    #[arg(long, value_name = "SET=PATH", help_heading = "Data")]
    pub(crate) data: Vec<String>,
    /// Number of threads that prepare images; does not affect results
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Data")]
    pub(crate) workers: usize,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Runs trained in parallel [default: one per core if small, else 1]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Machine")]
    pub(crate) jobs: Option<usize>,
    /// Folder of the runs, audit.md, audit.html, audit.json and audit-runs.jsonl
    #[arg(long, value_name = "DIR", default_value = "runs", help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Print plain lines instead of the dashboard, even in a terminal
    #[arg(long, help_heading = "Output")]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
}
