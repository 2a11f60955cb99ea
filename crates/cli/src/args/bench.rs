//! `experiments bench`.

use alexnet_data::Upload;
use alexnet_ops::Implementation;
use clap::{Args, Subcommand, ValueEnum};

use super::data::DataArgs;
use super::groups::{BackendArgs, FormatArgs, MachineArgs, PrecisionArgs};
use super::values::{at_least_one, bits, operations, upload};

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure how fast a data set delivers batches
    Data(BenchDataArgs),
    /// Measure exact nearest-neighbour search on random features against its bound, the matrix product
    Nearest(BenchNearestArgs),
    /// Measure binary-code search against memory read bandwidth
    Codes(BenchCodesArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BenchCodesArgs {
    /// Number of images to search
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 4_000_000)]
    pub(crate) rows: usize,
    /// Code lengths in bits
    #[arg(long, value_name = "BITS,…", value_delimiter = ',', value_parser = bits, default_value = "28,256")]
    pub(crate) bits: Vec<usize>,
    /// Number of queries
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 100)]
    pub(crate) queries: usize,
    /// Number of neighbours per query
    #[arg(short, long, value_name = "K", value_parser = at_least_one, default_value_t = 6)]
    pub(crate) k: usize,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BenchNearestArgs {
    /// Number of images to search
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 100_000)]
    pub(crate) rows: usize,
    /// Feature dimension
    ///
    /// Krizhevsky et al. 2012, §6.1: 4096.
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 4096)]
    pub(crate) width: usize,
    /// Number of queries
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 1000)]
    pub(crate) queries: usize,
    /// Number of neighbours per query
    #[arg(short, long, value_name = "K", value_parser = at_least_one, default_value_t = 6)]
    pub(crate) k: usize,
    #[command(flatten)]
    pub(crate) machine: BackendArgs,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BenchDataArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// View: train, train-colour, centre, ten or decode
    ///
    /// `train`: random crop, randomly mirrored, mean image subtracted. `train-colour`: the same with colour
    /// noise. `centre`: centre crop. `ten`: ten views. `decode`: none, images are decoded and discarded.
    #[arg(long, value_enum, default_value_t = BenchView::Train, hide_possible_values = true)]
    pub(crate) view: BenchView,
    /// Number of threads that prepare batches [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// Only read the files
    #[arg(long)]
    pub(crate) no_decode: bool,
    /// Format in which images go to the device: floats or bytes
    ///
    /// Bytes are converted on the device; results may differ in the last bit, and crops must have no padding.
    #[arg(long, value_name = "WHAT", value_parser = upload(), hide_possible_values = true, default_value = "floats")]
    pub(crate) upload: Upload,
    /// Batch size
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 128)]
    pub(crate) batch: usize,
    /// Side of the input in pixels [default: 7/8 of the image's, as 224 of 256]
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub(crate) side: Option<usize>,
    #[command(flatten)]
    pub(crate) machine: BackendArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: experiments tune alexnet-2012 --backend cuda --tune full")]
pub(crate) struct TuneArgs {
    /// Network: name of a preset (see `list`) or path of a TOML file
    pub(crate) preset: String,
    /// Batch size
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 128)]
    pub(crate) batch: usize,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) precision: PrecisionArgs,
}

/// The view that `bench data` takes of each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchView {
    /// Random crop, randomly mirrored, mean image subtracted
    Train,
    /// The same with colour noise
    TrainColour,
    /// Centre crop
    Centre,
    /// Ten views
    Ten,
    /// None: decode images and discard them
    Decode,
}

impl BenchView {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::TrainColour => "train-colour",
            Self::Centre => "centre",
            Self::Ten => "ten",
            Self::Decode => "decode",
        }
    }
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n\
    \x20 experiments bench --batch 32 --threads 1\n\
    \x20 experiments bench data fashion-mnist-mini --view centre"
)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,
    /// Network: name of a preset (see `list`) or path of a TOML file
    #[arg(default_value = "alexnet-2012")]
    pub(crate) preset: String,
    #[command(flatten)]
    pub(crate) machine: BackendArgs,
    /// Implementation of the operations: fast, direct or composed
    ///
    /// `fast`: this project's kernels where the backend has them. `direct`: the same, without Winograd's convolutions.
    /// `composed`: Burn's operations only.
    #[arg(long, value_name = "FORM", value_parser = operations(), hide_possible_values = true, default_value = "fast")]
    pub(crate) ops: Implementation,
    #[command(flatten)]
    pub(crate) precision: PrecisionArgs,
    /// Batch size
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 128)]
    pub(crate) batch: usize,
    /// Number of CPU threads [default: one per core]
    #[arg(long, value_name = "T", value_parser = at_least_one)]
    pub(crate) threads: Option<usize>,
    /// Number of timed steps, after one warm-up step
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 5)]
    pub(crate) samples: usize,
    /// Measure whole training steps: forward, backward, update (the default)
    #[arg(long, conflicts_with = "infer")]
    pub(crate) train: bool,
    /// Measure the forward pass in evaluation mode
    #[arg(long)]
    pub(crate) infer: bool,
    /// Measure the whole network alone, without layers and matrix product
    #[arg(long)]
    pub(crate) whole: bool,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
}
