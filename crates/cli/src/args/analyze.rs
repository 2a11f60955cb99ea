//! `experiments analyze`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::groups::{BackendArgs, Origin, SetArgs};
use super::values::{at_least_one, bits, finite, hidden, shown, units, zoom};

#[derive(Debug, Subcommand)]
pub(crate) enum AnalyzeCommand {
    /// Draw the first layer's kernels by tower and measure their colour
    Kernels(KernelsArgs),
    /// Draw the feature maps of an image and count the units that no image of a data set activates
    Maps(MapsArgs),
    /// Evaluate on a data set: predictions for random or misclassified images, errors by class
    Predictions(PredictionsArgs),
    /// Find the nearest images in feature space and count those of the same class
    Nearest(NearestArgs),
    /// Compress features into short binary codes and measure retrieval with them
    Codes(CodesArgs),
    /// Learn object boxes from features and score five guesses per image as in ILSVRC-2012
    Localize(LocalizeArgs),
    /// Slide a grey square over images and draw where it lowers the class probability
    Occlusion(OcclusionArgs),
    /// Draw the gradient of the class logit with respect to the pixels
    Saliency(SaliencyArgs),
    /// Draw the feature maps that raise the class logit, weighted by their gradients
    #[command(name = "grad-cam", alias = "gradcam")]
    GradCam(GradCamArgs),
    /// Draw the images of a data set by the two principal components of their features
    Embedding(EmbeddingArgs),
    /// Draw how often each class is taken for each other
    Confusion(ConfusionArgs),
}

/// The weights to analyze and the output folder.
#[derive(Debug, Clone, Args)]
pub(crate) struct LookArgs {
    /// Run folder or weights file, as for `predict`
    pub(crate) weights: PathBuf,
    #[command(flatten)]
    pub(crate) origin: Origin,
    /// Output folder for pictures and JSON files
    #[arg(long, value_name = "DIR", default_value = "analysis")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) machine: BackendArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments analyze kernels RUN\n\
    \x20 experiments analyze kernels RUN OTHER-RUN --per-kernel")]
pub(crate) struct KernelsArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// More networks, e.g. other seeds, to average the difference between towers
    pub(crate) others: Vec<PathBuf>,
    /// Scale each kernel to its own range instead of a common one
    #[arg(long)]
    pub(crate) per_kernel: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n\
    \x20 experiments analyze predictions RUN --data cifar10-images.tar --set cifar10 --mistakes")]
pub(crate) struct PredictionsArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) data: SetArgs,
    /// Number of images to draw, up to 1000
    #[arg(long, value_name = "N", value_parser = shown, default_value_t = 8)]
    pub(crate) count: usize,
    /// Draw only misclassified images
    #[arg(long)]
    pub(crate) mistakes: bool,
    /// Seed for sampling images
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

/// The data set to search by features.
#[derive(Debug, Clone, Args)]
pub(crate) struct GalleryArgs {
    /// Folder or archive of the data set to search [default: where `list` finds it]
    ///
    /// Its training images are searched, or all images if it has no splits. `list` finds the data set of
    /// `--set`.
    #[arg(long = "in", value_name = "PATH", help_heading = "Data")]
    pub(crate) inside: Option<PathBuf>,
    /// Name of the data set, if its files do not tell: cifar10, fashion-mnist
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub(crate) set: Option<String>,
    /// Layer of the features [default: last hidden; `localize`: last convolution]
    ///
    /// The paper uses the last hidden layer.
    #[arg(long)]
    pub(crate) layer: Option<String>,
}

/// The queries of a search.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct QueryArgs {
    /// Number of neighbours per query, up to 1000
    ///
    /// Krizhevsky et al. 2012, figure 4: 6.
    #[arg(short, long, value_name = "K", value_parser = shown, default_value_t = 6)]
    pub(crate) k: usize,
    /// Number of random test images used as queries
    ///
    /// Not used if photographs are the queries.
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 1000)]
    pub(crate) queries: usize,
    /// Seed for sampling queries
    ///
    /// In `codes`, also for the autoencoder.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments analyze nearest RUN --set cifar10\n\
    \x20 experiments analyze nearest torchvision photograph.jpg --in imagenet-shards")]
pub(crate) struct NearestArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Query photographs [default: `--queries` random test images of the data set]
    ///
    /// The neighbours of test images are also counted by class.
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) gallery: GalleryArgs,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments analyze maps torchvision photograph.jpg\n\
    \x20 experiments analyze maps torchvision photograph.jpg --data imagenet-shards")]
pub(crate) struct MapsArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Photograph (JPEG or PNG)
    pub(crate) image: PathBuf,
    #[command(flatten)]
    pub(crate) data: SetArgs,
    /// Number of images of the data set used to find inactive units [default: 1000]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) images: Option<usize>,
    /// Draw this layer only
    #[arg(long)]
    pub(crate) layer: Option<String>,
    /// Draw all maps of a layer, not only 64
    #[arg(long)]
    pub(crate) all: bool,
    /// Side of a map's pixel in pixels of the picture, up to 256 [default: maps of at least 40 pixels]
    #[arg(long, value_name = "PIXELS", value_parser = zoom)]
    pub(crate) zoom: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments analyze codes RUN --set cifar10\n\
    \x20 experiments analyze codes torchvision --in imagenet-shards --layer fc7 --bits 28")]
pub(crate) struct CodesArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) gallery: GalleryArgs,
    /// Code lengths in bits
    ///
    /// Krizhevsky & Hinton 2011: 28 and 256.
    #[arg(long, value_name = "BITS,…", value_delimiter = ',', value_parser = bits, default_value = "28,256")]
    pub(crate) bits: Vec<usize>,
    /// Number of hidden units between features and code, up to 16,384
    ///
    /// As many are between code and features.
    #[arg(long, value_name = "N", value_parser = units, default_value_t = 256)]
    pub(crate) hidden: usize,
    /// Number of epochs
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 10)]
    pub(crate) epochs: usize,
    /// Standard deviation of the noise that makes codes binary
    ///
    /// Salakhutdinov & Hinton 2009: 4.
    #[arg(long, value_name = "STD", value_parser = finite, default_value_t = 4.0)]
    pub(crate) noise: f64,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n\
    \x20 experiments analyze localize torchvision --in imagenet-shards")]
pub(crate) struct LocalizeArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) gallery: GalleryArgs,
    /// Hidden units between features and box, up to 16,384; 0: linear regression
    #[arg(long, value_name = "N", value_parser = hidden, default_value_t = 256)]
    pub(crate) hidden: usize,
    /// Number of epochs, of which the best is kept
    ///
    /// It is the best on a held-out tenth of the training images.
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 10)]
    pub(crate) epochs: usize,
    /// Number of images to draw, up to 1000
    #[arg(long, value_name = "N", value_parser = shown, default_value_t = 8)]
    pub(crate) count: usize,
    /// Seed for the weights, the order of images and the images drawn
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

/// Photographs and the class to explain.
#[derive(Debug, Clone, Args)]
pub(crate) struct EvidenceArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Photographs (JPEG or PNG)
    #[arg(required = true)]
    pub(crate) images: Vec<PathBuf>,
    /// Index of the class to explain [default: the most probable]
    #[arg(long, value_name = "INDEX")]
    pub(crate) class: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n\
    \x20 experiments analyze occlusion torchvision photograph.jpg --square 40")]
pub(crate) struct OcclusionArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Side of the square in pixels [default: a fifth of the input's side]
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub(crate) square: Option<usize>,
    /// Step of the square in pixels [default: a quarter of its side]
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub(crate) stride: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n\
    \x20 experiments analyze saliency torchvision photograph.jpg --class 207")]
pub(crate) struct SaliencyArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n\
    \x20 experiments analyze grad-cam torchvision photograph.jpg --class 207")]
pub(crate) struct GradCamArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Convolutional layer of the feature maps [default: the last]
    ///
    /// The maps are those before the layer's pooling.
    #[arg(long)]
    pub(crate) layer: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments analyze embedding mini\n\
    \x20 experiments analyze embedding RUN --data cifar10-images.tar --set cifar10 --layer conv5")]
pub(crate) struct EmbeddingArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) data: SetArgs,
    /// Layer of the features [default: last hidden]
    #[arg(long)]
    pub(crate) layer: Option<String>,
    /// Number of random test images
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 1000)]
    pub(crate) images: usize,
    /// Seed for sampling images
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n\
    \x20 experiments analyze confusion mini")]
pub(crate) struct ConfusionArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) data: SetArgs,
}
