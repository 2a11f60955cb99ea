//! Groups of options that several commands take.
//!
//! The first paragraph of an option's comment is its line in `--help`; docs/commands.md has all paragraphs.

use std::path::PathBuf;

use alexnet_data::Upload;
use alexnet_ops::{Backend, Implementation, Precision, Tuning};
use alexnet_train::Reduction;
use clap::Args;

use super::values::{Format, at_least_one, operations, precision, reduction, tuning, upload};

/// The output format.
#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// Output format: text or json
    ///
    /// The output of `json` is one value.
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    pub(crate) format: Format,
}

/// The runs that a report compares, and its format.
#[derive(Debug, Args)]
pub(crate) struct ReportOptions {
    /// Compare runs even if code version, operations or backend differ
    ///
    /// Also compares runs whose results version, operations, backend or vector level differ, and marks their
    /// verdicts.
    #[arg(long)]
    pub(crate) mixed_versions: bool,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
}

/// One backend.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct BackendArgs {
    /// flex, cuda, cuda:1, rocm, wgpu or ndarray [default: first built in]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
}

/// The precision of a network's products.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct PrecisionArgs {
    /// Precision of products: device, f32, tf32 or bf16
    ///
    /// `device`: f32, which NVIDIA GPUs may multiply in TF32. `f32`: f32 with its 24 bits, on every device. `tf32`: factors of 11
    /// bits, on NVIDIA GPUs. `bf16`: factors and results of 8 bits, on GPUs that have it and on Flex. All else is f32.
    #[arg(long, value_name = "BITS", value_parser = precision(), hide_possible_values = true, default_value = "device")]
    pub(crate) precision: Precision,
}

/// Changes to the config of a training run.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct ChangeArgs {
    /// Override a config value, e.g. recipe.learning_rate=0.02; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Precision of products: device, f32, tf32 or bf16 [default: the scale's]
    ///
    /// Sets `recipe.precision`. `device`: f32, which NVIDIA GPUs may multiply in TF32. `f32`: f32 with its 24 bits, on every device.
    /// `tf32`: factors of 11 bits, on NVIDIA GPUs. `bf16`: factors and results of 8 bits, on GPUs that have it and on Flex. All else is f32.
    #[arg(long, value_name = "BITS", value_parser = precision(), hide_possible_values = true)]
    pub(crate) precision: Option<Precision>,
}

/// The backend or the devices of a training run.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct MachineArgs {
    #[command(flatten)]
    pub(crate) one: BackendArgs,
    /// Search for GPU kernels: minimal, balanced or full
    ///
    /// How thoroughly they are tried out. The choices are kept for the next process, see `tune`.
    #[arg(long, value_name = "LEVEL", value_parser = tuning(), hide_possible_values = true, default_value = "minimal")]
    pub(crate) tune: Tuning,
    /// Devices of the towers, one per tower, e.g. cuda:0,cuda:1
    ///
    /// Backends may differ, as in `flex,ndarray`. Only images and the activations that towers exchange are
    /// transferred.
    #[arg(long, value_name = "B,B", value_delimiter = ',', conflicts_with = "backend")]
    pub(crate) devices: Vec<Backend>,
    /// Divide each batch over `--devices`; gradients: first or ddp
    ///
    /// Each device trains the whole network on a part of every batch. The value selects where gradients are
    /// summed. `first` is taken if none is given: on the first device, which sends its weights to the others;
    /// backends may differ. `ddp`: by Burn's distributed data parallel between CUDA devices (NCCL).
    #[arg(long, value_name = "SUM", value_parser = reduction(), hide_possible_values = true, requires = "devices", num_args = 0..=1,
        require_equals = true, default_missing_value = "first")]
    pub(crate) data_parallel: Option<Reduction>,
}

/// The execution of training runs: their images, hardware and operations.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExecutionArgs {
    /// Folder, tar or tar.gz of the data set [default: where `list` finds it]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    pub(crate) data: Option<PathBuf>,
    /// Number of threads that prepare images; does not affect results
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Data")]
    pub(crate) workers: usize,
    /// How images go to the device: floats, bytes or once
    ///
    /// Bytes are converted on the device; results may differ in the last bit, and crops must have no padding. With `once`,
    /// all images of a small data set wait on the device as bytes, and inputs are cut there.
    #[arg(long, value_name = "WHAT", value_parser = upload(), hide_possible_values = true, default_value = "floats", help_heading = "Data")]
    pub(crate) upload: Upload,
    /// Retrain runs that already exist
    #[arg(long, help_heading = "Training")]
    pub(crate) fresh: bool,
    /// Implementation of the operations: fast, direct or composed
    ///
    /// `fast`: this project's kernels where the backend has them. `direct`: the same, without Winograd's convolutions.
    /// `composed`: Burn's operations only.
    #[arg(long, value_name = "FORM", value_parser = operations(), hide_possible_values = true, default_value = "fast",
        help_heading = "Training")]
    pub(crate) ops: Implementation,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// The network for images of one's own.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OwnArgs {
    /// Without a scale: network, a preset or TOML file [default: a small one]
    ///
    /// Its last layer gets an output for each class of the images. By default it is `cifar10` with inputs of 64 pixels or,
    /// for `train --from`, the network of the weights.
    #[arg(long, value_name = "NETWORK", help_heading = "Your own images")]
    pub(crate) network: Option<String>,
    /// Without a scale: side of the network's input in pixels
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one, help_heading = "Your own images")]
    pub(crate) size: Option<usize>,
}

/// The options of every training command.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Number of epochs [default: from the scale]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Training")]
    pub(crate) epochs: Option<usize>,
    #[command(flatten)]
    pub(crate) changes: ChangeArgs,
    #[command(flatten)]
    pub(crate) execution: ExecutionArgs,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = "runs", help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Print plain lines instead of the dashboard, even in a terminal
    #[arg(long, help_heading = "Output")]
    pub(crate) plain: bool,
}

/// Properties that a weights file may lack, or overrides of them.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Origin {
    /// Network: preset or TOML file [default: from the file or its shapes]
    ///
    /// If the file names no network, the preset whose shapes fit is used.
    #[arg(long, help_heading = "Weights")]
    pub(crate) preset: Option<String>,
    /// torchvision, caffe, paper or a preprocessing.json [default: the file's]
    ///
    /// If the file has none, images are prepared as for published weights with the same tensor names.
    #[arg(long, value_name = "HOW", help_heading = "Weights")]
    pub(crate) preprocessing: Option<String>,
    /// Subtract a Caffe mean image (mean.binaryproto), not channel means
    #[arg(long, value_name = "FILE", help_heading = "Weights")]
    pub(crate) mean: Option<PathBuf>,
}

impl Origin {
    /// Whether any property is given.
    pub(crate) fn is_some(&self) -> bool {
        self.preset.is_some() || self.preprocessing.is_some() || self.mean.is_some()
    }
}

/// The data set on which weights are evaluated.
#[derive(Debug, Clone, Args)]
pub(crate) struct SetArgs {
    /// Folder or archive of the data set [default: where `list` finds it]
    ///
    /// Without it, the data set of `--set` or else that of the training is looked for where `list` finds it.
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    pub(crate) data: Option<PathBuf>,
    /// Name of the data set, if its files do not tell: cifar10, fashion-mnist
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub(crate) set: Option<String>,
}
