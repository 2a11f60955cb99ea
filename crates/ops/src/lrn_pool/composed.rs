//! Local response normalization and max pooling in Burn's own operations.

use burn::tensor::Tensor;

use crate::config::{Lrn, Pool};
use crate::lrn::composed::lrn as normalize;
use crate::pool::composed::max_pool2d;

/// [`lrn_max_pool2d`](crate::lrn_max_pool2d).
pub fn lrn_max_pool2d(feature_maps: Tensor<4>, lrn: &Lrn, pool: &Pool) -> Tensor<4> {
    max_pool2d(normalize(feature_maps, lrn), pool)
}
