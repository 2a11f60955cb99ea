//! From images on disk to batches of tensors.
//!
//! ```text
//! Files (folder, tar, tar.gz) → layout (IDX, CIFAR, class folders, Tiny-ImageNet) → Dataset
//!   → three disjoint Splits → Loader: view or augmentation, mean → Batch
//! ```
//!
//! Every random draw is a function of (seed, epoch, sample), so neither the number of workers nor
//! an interruption changes what the network sees.

mod augment;
mod checksum;
mod dataset;
mod decode;
mod error;
mod files;
mod layout;
mod loader;
mod manifest;
mod preprocess;
mod statistics;

pub use augment::{Augmentation, Colour, ColourReading, Crop, Views};
pub use checksum::{file_sha256, hex};
pub use dataset::{Dataset, Split};
pub use error::DataError;
pub use files::Files;
pub use loader::{Batch, Draws, Loader, LoaderConfig};
pub use manifest::{Layout, Manifest, RemoteFile, SplitSizes};
pub use preprocess::Preprocessing;
pub use statistics::{Mean, MeanKind, Statistics};
