//! `experiments analyze`.

use super::shared::{Origin, at_least_one, bits, finite};
use alexnet_ops::Backend;
use clap::Args;
use clap::Subcommand;
use std::path::PathBuf;

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
    /// Backend [default: the first in this build]
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
}

#[derive(Debug, Args)]
pub(crate) struct KernelsArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// More networks, such as other seeds, over which the difference between towers is averaged
    pub(crate) others: Vec<PathBuf>,
    /// Scale each kernel to its own range instead of a common one
    #[arg(long)]
    pub(crate) per_kernel: bool,
}

/// The data set of an analysis.
#[derive(Debug, Clone, Args)]
pub(crate) struct SetArgs {
    /// Folder or archive of the data set [default: where `list` finds that of `--set`]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// Name of the data set, where its files do not identify it (cifar10, fashion-mnist)
    #[arg(long, value_name = "NAME")]
    pub(crate) set: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PredictionsArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) data: SetArgs,
    /// Number of images to draw
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 8)]
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
    /// Folder or archive of the data set to search: its training images, or all images if it has no splits [default:
    /// where `list` finds that of `--set`]
    #[arg(long = "in", value_name = "PATH")]
    pub(crate) inside: Option<PathBuf>,
    /// Name of the data set, where its files do not identify it (cifar10, fashion-mnist)
    #[arg(long, value_name = "NAME")]
    pub(crate) set: Option<String>,
    /// Layer whose output is used as features [default: the last hidden layer, as in the paper; for boxes the last
    /// convolution]
    #[arg(long)]
    pub(crate) layer: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NearestArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Query photographs [default: `--queries` random test images of the data set, whose neighbours are also counted
    /// by class]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) gallery: GalleryArgs,
    /// Number of neighbours per query (Krizhevsky et al. 2012, figure 4: 6)
    #[arg(short, long, value_name = "K", value_parser = at_least_one, default_value_t = 6)]
    pub(crate) k: usize,
    /// Number of random test images used as queries if no photographs are given
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 1000)]
    pub(crate) queries: usize,
    /// Seed for sampling queries
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
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
}

#[derive(Debug, Args)]
pub(crate) struct CodesArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) gallery: GalleryArgs,
    /// Code lengths in bits (Krizhevsky & Hinton 2011: 28 and 256)
    #[arg(long, value_name = "BITS,…", value_delimiter = ',', value_parser = bits, default_value = "28,256")]
    pub(crate) bits: Vec<usize>,
    /// Number of hidden units between features and code, and between code and features
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 256)]
    pub(crate) hidden: usize,
    /// Number of epochs
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 10)]
    pub(crate) epochs: usize,
    /// Standard deviation of the noise that makes codes binary (Salakhutdinov & Hinton 2009: 4)
    #[arg(long, value_name = "STD", value_parser = finite, default_value_t = 4.0)]
    pub(crate) noise: f64,
    /// Number of neighbours per query
    #[arg(short, long, value_name = "K", value_parser = at_least_one, default_value_t = 6)]
    pub(crate) k: usize,
    /// Number of random test images used as queries
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 1000)]
    pub(crate) queries: usize,
    /// Seed for sampling queries and for the autoencoder
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct LocalizeArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    #[command(flatten)]
    pub(crate) gallery: GalleryArgs,
    /// Number of hidden units between features and box; 0 for a linear regression
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) hidden: usize,
    /// Number of epochs; the best epoch on a held-out tenth of the training images is kept
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 10)]
    pub(crate) epochs: usize,
    /// Number of images to draw
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 8)]
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
pub(crate) struct OcclusionArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Side of the square in pixels [default: a fifth of the input's side]
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub(crate) square: Option<usize>,
    /// Step between positions of the square in pixels [default: a quarter of its side]
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    pub(crate) stride: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct SaliencyArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
}
