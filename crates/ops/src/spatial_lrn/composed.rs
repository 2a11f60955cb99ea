//! Local response normalization within each feature map, in Burn's own operations.

use burn::tensor::Tensor;

use crate::config::Lrn;
use crate::lrn::composed::{divide, window_sum};

/// [`spatial_lrn`](crate::spatial_lrn).
pub fn spatial_lrn(feature_maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    let squares = feature_maps.clone().square().mul_scalar(lrn.spatial_coefficient());
    let scale = window_sum(window_sum(squares, 2, lrn.size), 3, lrn.size);
    divide(feature_maps, scale, lrn)
}
