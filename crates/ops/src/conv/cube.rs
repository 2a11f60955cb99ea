//! Convolution on GPU backends: CubeCL's product, then the last steps in one launch.

use burn::tensor::Tensor;

use super::composed::product;
use crate::config::{Conv2d, Pool};
use crate::gpu::finish::finish;
use crate::pool::cube::finish_and_pool;

/// [`conv2d`](crate::conv2d).
pub(super) fn conv2d(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: Conv2d,
) -> Tensor<4> {
    finish(product(feature_maps, weight, None, options), bias, options.relu)
}

/// [`conv_max_pool2d`](crate::conv_max_pool2d).
pub(super) fn conv_max_pool2d(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: Conv2d,
    pool: &Pool,
) -> Tensor<4> {
    finish_and_pool(product(feature_maps, weight, None, options), bias, options.relu, pool)
}
