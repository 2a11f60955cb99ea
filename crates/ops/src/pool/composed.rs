//! Pooling in Burn's own operations.

use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};

use crate::config::Pool;

/// [`max_pool2d`](crate::max_pool2d).
pub fn max_pool2d(feature_maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    module::max_pool2d(
        feature_maps,
        MaxPoolOptions {
            kernel_size: [pool.size; 2],
            stride: [pool.stride; 2],
            padding: [(pool.padding, pool.padding); 2],
            dilation: [1; 2],
            ceil_mode: pool.ceil(),
        },
    )
}

/// [`avg_pool2d`](crate::avg_pool2d).
pub fn avg_pool2d(feature_maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    module::avg_pool2d(
        feature_maps,
        AvgPoolOptions {
            kernel_size: [pool.size; 2],
            stride: [pool.stride; 2],
            padding: [(pool.padding, pool.padding); 2],
            count_include_pad: false,
            ceil_mode: pool.ceil(),
        },
    )
}
