//! Files of weights.

use std::path::PathBuf;

use alexnet_data::Views;
use clap::{Args, Subcommand, ValueEnum};

use super::groups::{BackendArgs, FormatArgs, Origin, PrecisionArgs};
use super::values::{PredictFormat, at_least_one, views};

#[derive(Debug, Subcommand)]
pub(crate) enum WeightsCommand {
    /// List the tensors of a weights file and the networks that fit them
    Inspect {
        /// PyTorch, ONNX, Caffe, safetensors or burnpack (`.bpk`) file, run folder, or a name: `torchvision` or trained here
        file: PathBuf,
        #[command(flatten)]
        output: FormatArgs,
    },
    /// Convert weights to burnpack (`.bpk`), the format of this project
    Import {
        /// PyTorch, ONNX, Caffe, safetensors or burnpack (`.bpk`) file, run folder, or a name: `torchvision` or trained here
        file: PathBuf,
        #[command(flatten)]
        origin: Origin,
        /// Output file, `.bpk`
        ///
        /// The network and the preprocessing are written beside it as `.json`.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Export weights as safetensors, or a whole network as ONNX
    ///
    /// The metadata holds the network and the preprocessing.
    #[command(after_help = "Examples:\n\
        \x20 experiments weights export RUN --out weights.safetensors\n\
        \x20 experiments weights export RUN --names torchvision --out for-pytorch.safetensors\n\
        \x20 experiments weights export torchvision --out alexnet.onnx")]
    Export {
        /// PyTorch, ONNX, Caffe, safetensors or burnpack (`.bpk`) file, run folder, or a name: `torchvision` or trained here
        file: PathBuf,
        #[command(flatten)]
        origin: Origin,
        /// Output file: the ending `.onnx` writes the whole network as a graph, `.safetensors` the weights
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Tensor names: ours or torchvision
        ///
        /// `ours`: conv1.weight, fc6.bias. `torchvision`: features.0.weight, classifier.1.bias.
        #[arg(long, value_enum, default_value_t = NamesArg::Ours, hide_possible_values = true)]
        names: NamesArg,
        /// Store 16-bit numbers, rounded, in half the space
        #[arg(long)]
        half: bool,
        /// ONNX: begin with the preparation of images, so that the input is pixels of 0-255
        ///
        /// The graph scales images of any size, cuts the centre, subtracts the mean and multiplies by the gain. Scaled pixels may differ
        /// by a level from those of `predict`.
        #[arg(long)]
        prepare: bool,
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
    \x20 experiments predict torchvision photographs --format html > page.html\n\
    \x20 experiments predict torchvision photograph.jpg --top 5\n\
    \x20 experiments predict bvlc_alexnet.caffemodel photograph.jpg --mean imagenet_mean.binaryproto\n\
    \x20 experiments predict torchvision photograph.jpg --logits out.safetensors --features fc7")]
pub(crate) struct PredictArgs {
    /// PyTorch, ONNX, Caffe, safetensors or burnpack (`.bpk`) file, run folder, or a name: `torchvision` or trained here
    ///
    /// `torchvision` is taken from PyTorch's cache or downloaded.
    pub(crate) weights: PathBuf,
    /// Photographs (JPEG or PNG), folders of them, or patterns such as 'photos/*.jpg'
    #[arg(required = true)]
    pub(crate) images: Vec<PathBuf>,
    /// Number of classes to print
    #[arg(long, value_name = "K", value_parser = at_least_one, default_value_t = 5)]
    pub(crate) top: usize,
    /// Views per image, 1 or 10
    ///
    /// The softmax outputs of the views are averaged.
    #[arg(long, value_parser = views(), hide_possible_values = true, default_value = "1")]
    pub(crate) views: Views,
    /// Also write the logits to a safetensors file
    ///
    /// Their shape is `[images, classes]`. With ten views, they are the logarithms of the averaged
    /// probabilities.
    #[arg(long, value_name = "FILE")]
    pub(crate) logits: Option<PathBuf>,
    /// Also write the output of this layer to the file of `--logits`
    ///
    /// It is the output after the layer's stages.
    #[arg(long, value_name = "LAYER", requires = "logits")]
    pub(crate) features: Option<String>,
    #[command(flatten)]
    pub(crate) machine: BackendArgs,
    #[command(flatten)]
    pub(crate) precision: PrecisionArgs,
    /// Output format: text, json, csv or html
    ///
    /// The output of `json` is one value. `html` is a page with bars, for a browser in this folder: `> page.html`.
    #[arg(long, value_enum, default_value_t = PredictFormat::Text, hide_possible_values = true)]
    pub(crate) format: PredictFormat,
    #[command(flatten)]
    pub(crate) origin: Origin,
}
