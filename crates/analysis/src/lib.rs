//! What a trained network has learned, as numbers and pictures: no network, no data set, only what came out of them.
//!
//! - [`kernels`]: the first layer's kernels as a picture, and how colourful they are (Krizhevsky et al. 2012, figure 3)
//! - [`FeatureFile`]: features of many images on disk, extracted once and resumed after an interruption
//! - [`nearest`]: exact nearest neighbours by Euclidean distance, block by block (figure 4, right)

mod features;
pub mod kernels;
mod nearest;

pub use features::{FeatureFile, FeaturesError};
pub use nearest::{Neighbour, Rows, nearest};
