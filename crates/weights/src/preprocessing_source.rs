//! How images are prepared for weights that do not say it.

use alexnet_data::Preprocessing;
use alexnet_model::Network;

use crate::{Names, Weights};

/// How an image becomes a network's input.
#[derive(Debug, Clone, PartialEq)]
pub enum PreprocessingSource {
    /// As torchvision prepares images for its ImageNet weights.
    Torchvision,
    /// As Caffe does for its ImageNet models.
    Caffe,
    /// As in the paper (Krizhevsky et al. 2012, §2): pixels of 0–255 less the mean of ImageNet's colours. Grey images,
    /// whose mean the paper does not state, keep their pixels.
    Paper,
    /// In this way.
    Given(Preprocessing),
}

impl PreprocessingSource {
    /// Returns the preparation for the inputs of a network.
    pub fn of(&self, network: &Network) -> Preprocessing {
        let size = network.input.size;
        match self {
            Self::Torchvision => Preprocessing::torchvision(),
            Self::Caffe => Preprocessing::caffe(size),
            Self::Paper if network.input.channels == 1 => {
                Preprocessing { mean: vec![0.0], gain: vec![1.0], ..Preprocessing::paper(size) }
            }
            Self::Paper => Preprocessing::paper(size),
            Self::Given(preprocessing) => preprocessing.clone(),
        }
    }

    /// Returns the preparation of the publisher of weights with such names, if there is one.
    pub fn of_publisher(weights: &Weights, network: &Network) -> Option<Self> {
        if network.input.channels == 1 {
            return None; // there are no published weights for grey images
        }
        let caffe = weights.metadata.get("format").is_some_and(|format| format == "caffe");
        let theirs = || Names::of(weights, network).is_ok_and(|names| names == Names::Torchvision);
        match network.name.as_str() {
            "torchvision" => Some(Self::Torchvision),
            "caffe-alexnet" | "caffenet" => Some(Self::Caffe),
            _ if caffe => Some(Self::Caffe),
            _ if theirs() && network.input.size == Preprocessing::torchvision().crop => {
                Some(Self::Torchvision)
            }
            _ => None,
        }
    }
}
