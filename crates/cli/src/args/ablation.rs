//! Ablations: training, submitting, reporting.

use super::shared::{CommonArgs, Format, MachineArgs, at_least_one, at_least_two, operations, upload};
use alexnet_data::Upload;
use alexnet_ops::Implementation;
use clap::Args;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments ablation lrn\n\
    \x20 experiments ablation lrn --until-decided\n\
    \x20 experiments ablation dropout --scale cifar10 --data cifar10-images.tar --seeds 3 --epochs 4")]
pub(crate) struct AblationArgs {
    /// Name of an ablation (see `list`) or path of a TOML file
    pub(crate) ablation: String,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Name of a scale (see `list`) or path of a TOML file
    #[arg(long, default_value = "mini")]
    pub(crate) scale: String,
    /// Number of seeds, 0 to N − 1 [default: from the scale]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) seeds: Option<usize>,
    /// Add seeds until every arm is decided; the looks at 4, 8, 16, … seeds are fixed in advance and share the 5 %
    /// error rate of the verdicts
    #[arg(long, conflicts_with = "seeds")]
    pub(crate) until_decided: bool,
    /// With `--until-decided`: number of seeds at the last look
    #[arg(long, value_name = "N", value_parser = at_least_two, default_value_t = 32, requires = "until_decided")]
    pub(crate) max_seeds: usize,
    /// Also compare runs whose results version, operations, backend or vector level differ, and mark their verdicts
    #[arg(long)]
    pub(crate) mixed_versions: bool,
    /// Number of runs trained in parallel, each in its own process with a share of the threads and a log; does not
    /// affect results [default: one per core for small networks on the CPU, else 1]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) jobs: Option<usize>,
    /// Output format: a table or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Ablation folders, `runs/ablations/…`, or the `--out` folder of several ablations
    #[arg(required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// Output folder for index.html, report.json and runs.csv [default: `report` in the first folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Also compare runs whose results version, operations, backend or vector level differ, and mark their verdicts
    #[arg(long)]
    pub(crate) mixed_versions: bool,
    /// Output format: a table or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct PowerArgs {
    /// Name or folder of the ablation
    pub(crate) ablation: String,
    /// Name of the scale
    #[arg(long, default_value = "mini")]
    pub(crate) scale: String,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) out: PathBuf,
    /// Also compare runs whose results version, operations, backend or vector level differ
    #[arg(long)]
    pub(crate) mixed_versions: bool,
    /// Output format: a table or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SubmitCommand {
    /// Submit a SLURM job array with one job per run; killed or preempted jobs resume
    Slurm(SlurmArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments submit slurm lrn --out /shared/runs --cpus 8 --sbatch=--partition=cpu\n\
    \x20 experiments submit slurm lrn --dry-run")]
pub(crate) struct SlurmArgs {
    #[command(flatten)]
    pub(crate) ablation: AblationArgs,
    /// CPUs per job
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 1)]
    pub(crate) cpus: usize,
    /// Maximum number of concurrent jobs [default: no limit]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) at_once: Option<usize>,
    /// Additional sbatch option, e.g. `--sbatch=--partition=gpu`; repeatable
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub(crate) sbatch: Vec<String>,
    /// Write the script without submitting it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// Folder of the ablation
    pub(crate) folder: PathBuf,
    /// Identity of the study that numbers the tasks; in another study a number means another run
    #[arg(long, value_name = "IDENTITY")]
    pub(crate) study: Option<String>,
    /// Number of the task to run [default: task numbers are read from standard input]
    #[arg(long, value_name = "K")]
    pub(crate) task: Option<usize>,
    /// Number of compute threads [default: one per core]
    #[arg(long, value_name = "T", value_parser = at_least_one)]
    pub(crate) threads: Option<usize>,
    /// Folder, tar or tar.gz of the data set
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Implementation of the operations
    #[arg(long, value_name = "FORM", value_parser = operations, default_value = "fast")]
    pub(crate) ops: Implementation,
    /// Number of threads that prepare images
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: usize,
    /// Format in which training images are sent to the device
    #[arg(long, value_name = "WHAT", value_parser = upload, default_value = "floats")]
    pub(crate) upload: Upload,
    /// Retrain runs that already exist
    #[arg(long)]
    pub(crate) fresh: bool,
}
