//! Turns images on disk into batches of tensors.
//!
//! ```text
//! Files (folder, tar, tar.gz) → layout (IDX, CIFAR, class folders, ILSVRC …) → prepare → shards
//!                                      └──────────────────────────────────────────────────┴→ Dataset
//!   → three disjoint Splits → Loader: view or augmentation, mean → Batch
//! ```
//!
//! Every random draw is a function of (seed, epoch, sample), so neither the number of workers nor
//! an interruption changes what the network sees.

mod archive;
mod atomic_write;
#[cfg(feature = "tensors")]
mod augment;
mod check;
mod checksum;
mod clutter;
#[cfg(feature = "tensors")]
mod crop;
mod dataset;
mod decode;
mod error;
mod files;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod gzip;
pub mod hook;
#[cfg(feature = "jpeg")]
mod jpeg;
#[cfg(not(feature = "jpeg"))]
#[path = "no_jpeg.rs"]
mod jpeg;
mod label;
mod layout;
#[cfg(feature = "tensors")]
mod loader;
#[cfg(feature = "tensors")]
mod located;
mod manifest;
mod name;
mod open_files;
mod passed_over;
mod picture;
mod prepare;
#[cfg(feature = "tensors")]
mod preprocess;
mod resize;
mod rgb_png;
mod sample;
mod samples;
mod shard_index;
mod shard_writer;
mod shards;
mod statistics;
#[cfg(feature = "tensors")]
mod steps;
#[cfg(feature = "parquet")]
mod table;
#[cfg(feature = "tensors")]
mod uniform;

pub use atomic_write::{atomic_write, sync_folder};
#[cfg(feature = "tensors")]
pub use augment::{Augmentation, Colour, ColourReading, Crop, Views};
pub use check::{Checked, check};
pub use checksum::{file_sha256, hex};
pub use dataset::{Dataset, Split};
pub use error::DataError;
pub use files::{Files, is_image};
pub use label::{BoundingBox, Class};
pub use layout::{layout_of, tables as layout_tables};
#[cfg(feature = "tensors")]
pub use loader::{Batch, Draws, Loader, LoaderConfig, Upload};
#[cfg(feature = "tensors")]
pub use located::Located;
pub use manifest::{HeldOut, Layout, Manifest, RemoteFile, SplitSizes};
pub use name::name_of_images;
pub use passed_over::PassedOver;
pub use prepare::{Preparation, Progress, prepare};
#[cfg(feature = "tensors")]
pub use preprocess::{Preprocessing, Resize};
pub use rgb_png::rgb_png;
pub use samples::{Pixels, Scratch};
pub use shards::{Encoding, Prepared, PreparedSplit, Shard, is_prepared};
pub use statistics::{Mean, MeanKind, PixelScale, Statistics};
#[cfg(feature = "tensors")]
pub use steps::AugmentationStep;
