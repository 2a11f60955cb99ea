//! `experiments data`.

use super::shared::{Format, at_least_one};
use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use std::path::PathBuf;

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
    /// Compute the mean, mean image and principal colours of the training images and store them in a prepared folder
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
    /// Folder, tar or tar.gz with ILSVRC-2012 as distributed, Tiny-ImageNet, class folders, WebDataset tars or (where
    /// built in) parquet files
    pub(crate) source: PathBuf,
    /// Output folder for the shards
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Length of the shorter side after scaling, and side of the centre crop, in pixels
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one, default_value_t = 256)]
    pub(crate) size: usize,
    /// JPEG quality (1-100)
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100), default_value_t = 95)]
    pub(crate) quality: u8,
    /// Encoding of images in shards: raw is six times as large and needs no decoding
    #[arg(long, value_enum, default_value_t = EncodingArg::Jpeg)]
    pub(crate) encoding: EncodingArg,
    /// Apply EXIF orientation; torchvision, and thus published figures, ignores it
    #[arg(long)]
    pub(crate) upright: bool,
    /// Number of threads; does not affect the result [default: one per core]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) jobs: Option<usize>,
    /// Output format: lines of text or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Encoding of images in shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EncodingArg {
    /// JPEG
    Jpeg,
    /// Raw bytes, as NumPy files
    Raw,
}

impl From<EncodingArg> for alexnet_data::Encoding {
    fn from(encoding: EncodingArg) -> Self {
        match encoding {
            EncodingArg::Jpeg => Self::Jpeg,
            EncodingArg::Raw => Self::Raw,
        }
    }
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
    /// Folder (prepared or not), tar or tar.gz of the data set [default: where `list` finds it]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// Output format: lines of text or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}
