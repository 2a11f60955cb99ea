//! What a trained network has learned, as numbers and pictures: no network, no data set, only what came out of them.
//!
//! - [`kernels`]: the first layer's kernels as a picture, and how colourful they are (Krizhevsky et al. 2012, figure 3)
//! - [`FeatureFile`]: features of many images on disk, extracted once and resumed after an interruption
//! - [`nearest`]: exact nearest neighbours by Euclidean distance, block by block (figure 4, right)
//! - [`AutoEncoder`] and [`Codes`]: features as short binary codes, and the nearest by Hamming distance
//! - [`BoxRegressor`]: where the object is, learned from features

mod boxes;
mod codes;
mod features;
pub mod kernels;
mod nearest;
mod perceptron;

pub use boxes::{BoxConfig, BoxRegressor, Corners, area, mean_box, overlap};
pub use codes::{Alike, AutoEncoder, CodeConfig, Codes};
pub use features::{FeatureFile, FeaturesError};
pub use nearest::{Neighbour, Rows, Table, nearest};
