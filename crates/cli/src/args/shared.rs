//! Groups of options and values that several commands take.

use alexnet_data::Upload;
use alexnet_data::Views;
use alexnet_ops::Backend;
use alexnet_ops::Implementation;
use clap::Args;
use clap::ValueEnum;
use std::path::PathBuf;

/// The backend or the devices of a training run.
#[derive(Debug, Clone, Args)]
pub(crate) struct MachineArgs {
    /// Backend: flex, cuda, cuda:1, rocm, wgpu or ndarray [default: the first in this build]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// Devices of the towers, one per tower, e.g. `cuda:0,cuda:1` or `flex,ndarray`; only images and the activations
    /// that towers exchange are transferred
    #[arg(long, value_name = "B,B", value_delimiter = ',', conflicts_with = "backend")]
    pub(crate) devices: Vec<Backend>,
    /// Data parallelism: train the whole network on each of `--devices` with a part of every batch; the value selects
    /// where gradients are summed
    #[arg(long, value_name = "SUM", value_enum, requires = "devices", num_args = 0..=1, require_equals = true,
        default_missing_value = "first")]
    pub(crate) data_parallel: Option<Sum>,
}

/// Where the gradients of a batch's parts are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sum {
    /// On the first device, which sends its weights to the others; backends may differ
    First,
    /// Burn's distributed data parallel between CUDA devices (NCCL)
    Ddp,
}

/// The options of every training command.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    /// Folder, tar or tar.gz of the data set [default: where `list` finds it]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Implementation of the operations: `fast` (this project's kernels where the backend has them) or `composed`
    /// (Burn's operations only)
    #[arg(long, value_name = "FORM", value_parser = operations, default_value = "fast")]
    pub(crate) ops: Implementation,
    /// Number of epochs [default: from the scale]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) epochs: Option<usize>,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) out: PathBuf,
    /// Override a config value, e.g. recipe.learning_rate=0.02; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Retrain runs that already exist
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Number of threads that prepare images; does not affect results
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: usize,
    /// Format in which training images are sent to the device: floats, or bytes that are converted on the device
    #[arg(long, value_name = "WHAT", value_parser = upload, default_value = "floats")]
    pub(crate) upload: Upload,
    /// Print plain lines instead of the dashboard, even in a terminal
    #[arg(long)]
    pub(crate) plain: bool,
}

/// Properties that a weights file may lack, or overrides of them.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Origin {
    /// Network: name of a preset or path of a TOML file [default: from the file, or the preset that fits]
    #[arg(long)]
    pub(crate) preset: Option<String>,
    /// Preprocessing of images: torchvision, caffe, paper, or path of a preprocessing.json [default: from the file,
    /// or as for published weights with the same tensor names]
    #[arg(long, value_name = "HOW")]
    pub(crate) preprocessing: Option<String>,
    /// Subtract a Caffe mean image (mean.binaryproto) instead of the mean of each channel
    #[arg(long, value_name = "FILE")]
    pub(crate) mean: Option<PathBuf>,
}

impl Origin {
    /// Whether any property is given.
    pub(crate) fn is_some(&self) -> bool {
        self.preset.is_some() || self.preprocessing.is_some() || self.mean.is_some()
    }
}

pub(crate) fn upload(text: &str) -> Result<Upload, String> {
    match text {
        "floats" => Ok(Upload::Floats),
        "bytes" => Ok(Upload::Bytes),
        _ => Err("choose floats or bytes".to_owned()),
    }
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text.
    Text,
    /// One JSON value.
    Json,
}

/// A code length in bits.
pub(crate) fn bits(text: &str) -> Result<usize, String> {
    let bits = at_least_one(text)?;
    if bits > 4096 { Err("at most 4096 bits".to_owned()) } else { Ok(bits) }
}

/// A finite number of at least 0.
pub(crate) fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number >= 0.0 && (number as f32).is_finite() {
        Ok(number)
    } else {
        Err("a number of at least 0".to_owned())
    }
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a whole number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

pub(crate) fn at_least_two(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0 | 1) | Err(_) => Err("must be a whole number of at least 2".to_owned()),
        Ok(number) => Ok(number),
    }
}

pub(crate) fn operations(text: &str) -> Result<Implementation, String> {
    let forms = [Implementation::Fast, Implementation::Composed];
    forms.into_iter().find(|form| form.to_string() == text).ok_or("must be fast or composed".to_owned())
}

pub(crate) fn views(text: &str) -> Result<Views, String> {
    match text {
        "1" => Ok(Views::Centre),
        "10" => Ok(Views::Ten),
        _ => Err("must be 1 or 10".to_owned()),
    }
}
