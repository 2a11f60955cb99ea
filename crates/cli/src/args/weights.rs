//! Files of weights.

use super::shared::{Format, Origin, at_least_one, views};
use alexnet_data::Views;
use alexnet_ops::Backend;
use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum WeightsCommand {
    /// List the tensors of a weights file and the networks that fit them
    Inspect {
        /// Weights: a PyTorch, Caffe, safetensors or burnpack (`.bpk`) file, a run folder, or `torchvision`
        file: PathBuf,
        /// Output format: a table or one JSON value
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Convert weights to burnpack (`.bpk`), the format of this project
    Import {
        /// Weights: a PyTorch, Caffe, safetensors or burnpack (`.bpk`) file, a run folder, or `torchvision`
        file: PathBuf,
        #[command(flatten)]
        origin: Origin,
        /// Output file, `.bpk`; the network and the preprocessing are written beside it as `.json`
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Export weights as safetensors with this project's or torchvision's tensor names; the metadata holds the
    /// network and the preprocessing
    #[command(after_help = "Examples:\n\
        \x20 experiments weights export RUN --out weights.safetensors\n\
        \x20 experiments weights export RUN --names torchvision --out for-pytorch.safetensors")]
    Export {
        /// Weights: a PyTorch, Caffe, safetensors or burnpack (`.bpk`) file, a run folder, or `torchvision`
        file: PathBuf,
        #[command(flatten)]
        origin: Origin,
        /// Output file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Tensor names
        #[arg(long, value_enum, default_value_t = NamesArg::Ours)]
        names: NamesArg,
    },
}

/// Names of tensors in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NamesArg {
    /// conv1.weight, fc6.bias
    Ours,
    /// features.0.weight, classifier.1.bias
    Torchvision,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments predict torchvision photograph.jpg --top 5\n\
    \x20 experiments predict bvlc_alexnet.caffemodel photograph.jpg --mean imagenet_mean.binaryproto\n\
    \x20 experiments predict torchvision photograph.jpg --logits out.safetensors --features fc7")]
pub(crate) struct PredictArgs {
    /// Weights: a PyTorch, Caffe, safetensors or burnpack (`.bpk`) file, a run folder, or `torchvision`, which is
    /// taken from PyTorch's cache or downloaded
    pub(crate) weights: PathBuf,
    /// Photographs (JPEG or PNG)
    #[arg(required = true)]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) origin: Origin,
    /// Number of classes to print
    #[arg(long, value_name = "K", value_parser = at_least_one, default_value_t = 5)]
    pub(crate) top: usize,
    /// Number of views per image whose softmax outputs are averaged
    #[arg(long, value_parser = views, default_value = "1")]
    pub(crate) views: Views,
    /// Also write the logits, `[images, classes]`, to a safetensors file; with ten views, the logarithm of the
    /// averaged probabilities
    #[arg(long, value_name = "FILE")]
    pub(crate) logits: Option<PathBuf>,
    /// Also write the output of this layer, after its stages, to the file of `--logits`
    #[arg(long, value_name = "LAYER", requires = "logits")]
    pub(crate) features: Option<String>,
    /// Backend: flex, cuda, cuda:1, rocm, wgpu or ndarray [default: the first in this build]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// Output format: lines of text or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}
