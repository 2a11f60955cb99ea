//! Convolution on GPU backends: CubeCL's product, then the last steps in one launch.

// Where CubeCL tries out kernels, it has better ones than ours for the gradient of the weights.
#[cfg(not(feature = "autotune"))]
mod product;
#[cfg(not(feature = "autotune"))]
mod weight_gradient;

use burn::tensor::Tensor;

#[cfg(not(feature = "autotune"))]
use self::product::product;
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
    finish(product(feature_maps, weight, options), bias, options.relu)
}

/// [`conv_max_pool2d`](crate::conv_max_pool2d).
pub(super) fn conv_max_pool2d(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: Conv2d,
    pool: &Pool,
) -> Tensor<4> {
    finish_and_pool(product(feature_maps, weight, options), bias, options.relu, pool)
}

#[cfg(feature = "autotune")]
fn product(feature_maps: Tensor<4>, weight: Tensor<4>, options: Conv2d) -> Tensor<4> {
    super::composed::product(feature_maps, weight, None, options)
}
