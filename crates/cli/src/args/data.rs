//! `experiments data`.

use std::path::PathBuf;

use alexnet_data::Encoding;
use clap::{Args, Subcommand, value_parser};

use super::groups::FormatArgs;
use super::values::{at_least_one, encoding};

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Download and check a data set; an interrupted download resumes
    Fetch {
        /// Name of the data set (see `list`)
        name: String,
    },
    /// Prepare photographs for training: decode, scale, crop to a square and pack into shards
    ///
    /// An interrupted preparation resumes and produces the same bytes.
    Prepare(PrepareArgs),
    /// Check a whole data set: counts, labels, checksums, every image
    Check(DataArgs),
    /// Compute the mean, mean image and principal colours of the training images
    ///
    /// They are stored in the folder of a prepared data set.
    Stats(DataArgs),
    /// Draw images with their labels, and augmented versions of one image
    Show(ShowArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 experiments data prepare ILSVRC2012 --out imagenet\n\
    \x20 experiments data prepare tiny-imagenet-200 --out tiny --size 64\n\
    \x20 experiments data prepare photographs.tar --out shards --encoding raw --jobs 2")]
pub(crate) struct PrepareArgs {
    /// Folder, tar or tar.gz in any layout of docs/data.md
    ///
    /// Parquet files need a build with the feature `parquet`.
    pub(crate) source: PathBuf,
    /// Output folder for the shards
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Side of the prepared images in pixels
    ///
    /// It is the length of the shorter side after scaling, and the side of the centre crop.
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one, default_value_t = 256)]
    pub(crate) size: usize,
    /// JPEG quality (1-100)
    #[arg(long, value_name = "Q", value_parser = value_parser!(u8).range(1..=100), default_value_t = 95)]
    pub(crate) quality: u8,
    /// Encoding of images in shards: jpeg or raw
    ///
    /// Raw is six times as large and needs no decoding.
    #[arg(long, value_parser = encoding(), hide_possible_values = true, default_value = "jpeg")]
    pub(crate) encoding: Encoding,
    /// Apply EXIF orientation; torchvision and published figures ignore it
    #[arg(long)]
    pub(crate) upright: bool,
    /// Number of threads; does not affect the result [default: one per core]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) jobs: Option<usize>,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Output folder for samples.png and augmentation.png
    #[arg(long, value_name = "DIR", default_value = "sheets")]
    pub(crate) out: PathBuf,
    /// Number of images
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 24)]
    pub(crate) count: usize,
    /// Seed for sampling images and augmentation
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Name of the data set (see `list`), path of a manifest, or prepared folder
    pub(crate) name: String,
    /// Folder (prepared or not), tar or tar.gz [default: where `list` finds it]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
}
