//! Kernels and feature maps as squares to draw.

use alexnet_model::{AlexNet, Place};
use alexnet_train::first_kernels;
use burn::tensor::Tensor;
use serde::Serialize;

/// The kernels or feature maps of a tower: `count` squares of `side`² numbers for each of `channels`.
#[derive(Debug, Serialize)]
pub(crate) struct Squares {
    layer: String,
    tower: usize,
    count: usize,
    channels: usize,
    side: usize,
}

/// Squares with their numbers, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    /// The squares.
    pub(crate) layers: Vec<Squares>,
    /// Their numbers.
    pub(crate) floats: Vec<f32>,
}

impl Pictures {
    /// Adds the squares of a layer's tower, `[count, channels, side, side]`.
    pub(crate) fn add(
        &mut self,
        layer: &str,
        tower: usize,
        [count, channels, side]: [usize; 3],
        values: Vec<f32>,
    ) {
        self.layers.push(Squares { layer: layer.to_owned(), tower, count, channels, side });
        self.floats.extend(values);
    }

    /// Returns the kernels of the first layer, or none if it has no kernels.
    pub(crate) fn kernels(model: &AlexNet) -> Option<Self> {
        let mut pictures = Self::default();
        for (tower, kernels) in first_kernels(model)?.into_iter().enumerate() {
            let (channels, side) = (kernels.channels, kernels.side);
            let count = kernels.values.len() / (channels * side * side);
            pictures.add("conv1", tower, [count, channels, side], kernels.values);
        }
        Some(pictures)
    }

    /// Adds the feature maps at the end of each layer: a callback of
    /// [`forward_observed`](alexnet_model::AlexNet::forward_observed).
    pub(crate) fn observe(&mut self, place: Place, maps: Tensor<4>) -> Tensor<4> {
        if place.next.is_none() {
            let [_, count, side, _] = maps.dims();
            self.add(place.layer, place.tower, [count, 1, side], values(maps.clone()));
        }
        maps
    }
}

/// Returns a tensor's values.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().iter().collect()
}
