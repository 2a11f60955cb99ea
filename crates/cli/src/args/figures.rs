//! `experiments figures`.

use std::path::PathBuf;

use clap::Args;

use super::groups::{BackendArgs, SetArgs};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments figures\n\
    \x20 experiments figures --only kernels,evidence --out slides\n\
    \x20 experiments figures cifar10 --data cifar10-images.tar")]
pub(crate) struct FiguresArgs {
    /// Weights that the figures of images show: a name of `list`, a run folder or a file
    #[arg(default_value = "mini")]
    pub(crate) weights: PathBuf,
    /// Draw these figures only
    #[arg(long, value_name = "FIGURE,…", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Seed for choosing images
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Output folder for SVG, PNG and a page
    #[arg(long, value_name = "DIR", default_value = "figures")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) data: SetArgs,
    #[command(flatten)]
    pub(crate) machine: BackendArgs,
}
