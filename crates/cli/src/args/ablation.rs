//! Ablations: training, submitting, reporting.

use std::path::PathBuf;

use clap::{Arg, Args, Subcommand};

use super::groups::{CommonArgs, ExecutionArgs, OwnArgs, ReportOptions};
use super::values::{at_least_one, at_least_two};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments ablation lrn\n\
    \x20 experiments ablation lrn --until-decided\n\
    \x20 experiments ablation dropout --scale cifar10 --data cifar10-images.tar --seeds 3 --epochs 4")]
pub(crate) struct AblationArgs {
    /// Name of an ablation (see `list`) or path of a TOML file
    pub(crate) ablation: String,
    /// Name of a scale (see `list`) or path of a TOML file [default: fits your images, or mini]
    ///
    /// Without it, the scale is made for the images of `--data`, or is `mini` without such images.
    #[arg(long)]
    pub(crate) scale: Option<String>,
    /// Number of seeds [default: from the scale]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) seeds: Option<usize>,
    /// First seed. A setting needs confirmation on seeds other than those it was chosen on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed_base: u32,
    /// Add seeds until every arm is decided
    ///
    /// The looks at 4, 8, 16, … seeds are fixed in advance and share the 5 % error rate of the verdicts.
    #[arg(long, conflicts_with = "seeds")]
    pub(crate) until_decided: bool,
    /// With `--until-decided`: number of seeds at the last look
    #[arg(long, value_name = "N", value_parser = at_least_two, default_value_t = 32,
        requires = "until_decided")]
    pub(crate) max_seeds: usize,
    #[command(flatten)]
    pub(crate) own: OwnArgs,
    #[command(flatten)]
    pub(crate) report: ReportOptions,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Runs trained in parallel [default: one per core if small, else 1]
    ///
    /// Each run has its own process, with a share of the threads, and a log. Does not affect results. By
    /// default, small networks on the CPU are trained on one core each.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Machine")]
    pub(crate) jobs: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments report runs/ablations/lrn-mini\n\
    \x20 experiments report runs --out report\n\
    \x20 experiments report runs/mini-*-seed0-* --out page")]
pub(crate) struct ReportArgs {
    /// Ablation folders, `runs/ablations/…`, the `--out` folder of several ablations, or run folders
    ///
    /// The page of one run has its curves, confusions, kernels and mistakes; that of several runs also the settings in
    /// which they differ.
    #[arg(required = true)]
    pub(crate) folders: Vec<PathBuf>,
    /// Output folder [default: `report` in the first folder; needed for several runs]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) report: ReportOptions,
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
    #[command(flatten)]
    pub(crate) report: ReportOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SubmitCommand {
    /// Submit a SLURM job array with one job per run; killed or preempted jobs resume
    Slurm(SlurmArgs),
}

/// The options of `ablation` that `submit slurm` refuses, or that have no effect on a job array.
const NOT_FOR_SLURM: [&str; 7] =
    ["until_decided", "max_seeds", "mixed_versions", "format", "fresh", "plain", "jobs"];

/// Hides these options in the help of `submit slurm`. They are still parsed, so that the error says why one is
/// refused.
fn hide_for_slurm(arg: Arg) -> Arg {
    let hidden = NOT_FOR_SLURM.contains(&arg.get_id().as_str());
    if hidden { arg.hide(true) } else { arg }
}

#[derive(Debug, Args)]
#[command(mut_args(hide_for_slurm))]
#[command(after_help = "Examples:\n\
    \x20 experiments submit slurm lrn --out /shared/runs --cpus 8 --sbatch=--partition=cpu\n\
    \x20 experiments submit slurm lrn --dry-run")]
pub(crate) struct SlurmArgs {
    #[command(flatten)]
    pub(crate) ablation: AblationArgs,
    /// CPUs per job
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 1, help_heading = "SLURM")]
    pub(crate) cpus: usize,
    /// Maximum number of concurrent jobs [default: no limit]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "SLURM")]
    pub(crate) at_once: Option<usize>,
    /// Additional sbatch option, e.g. `--sbatch=--partition=gpu`; repeatable
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true, help_heading = "SLURM")]
    pub(crate) sbatch: Vec<String>,
    /// Write the script without submitting it
    #[arg(long, help_heading = "SLURM")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// Folder of the ablation
    pub(crate) folder: PathBuf,
    /// Identity of the study that numbers the tasks
    ///
    /// In another study, a number means another run.
    #[arg(long, value_name = "IDENTITY")]
    pub(crate) study: Option<String>,
    /// Number of the task to run [default: read from standard input]
    #[arg(long, value_name = "K")]
    pub(crate) task: Option<usize>,
    /// Number of compute threads [default: one per core]
    #[arg(long, value_name = "T", value_parser = at_least_one)]
    pub(crate) threads: Option<usize>,
    #[command(flatten)]
    pub(crate) execution: ExecutionArgs,
}
