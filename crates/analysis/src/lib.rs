//! Numbers and pictures of what a trained network has learned. This crate needs only the outputs of the
//! network, not the network or the data set.
//!
//! - [`kernels`]: the first layer's kernels as a picture, and their colourfulness (Krizhevsky et al. 2012,
//!   figure 3)
//! - [`FeatureFile`]: features of many images on disk, extracted once; extraction resumes after an
//!   interruption
//! - [`nearest`]: exact nearest neighbours by Euclidean distance, block by block (figure 4, right)
//! - [`AutoEncoder`] and [`Codes`]: short binary codes of features, and nearest codes by Hamming distance
//! - [`principal_components`]: features in two dimensions
//! - [`Occlusion`], [`saliency`]: where in an image the evidence for a class is
//! - [`BoxRegressor`]: the object's box, learned from features

mod boxes;
mod codes;
mod components;
mod evidence;
mod features;
mod hamming;
pub mod kernels;
mod nearest;
mod perceptron;

pub use boxes::{BoxConfig, BoxRegressor, Corners, area, mean_box, overlap};
pub use codes::{AutoEncoder, CodeConfig};
pub use components::{Components, principal_components};
pub use evidence::{Heat, Occlusion, logit, saliency};
pub use features::{FeatureFile, FeaturesError};
pub use hamming::{Alike, Codes};
pub use nearest::{Neighbour, Rows, Table, nearest};
