//! The operations written in terms of Burn's own: on every backend, differentiated by Burn.
//!
//! Where a backend has no kernel of its own these are what runs; where it has one, they are what it
//! is compared with.

use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};

use crate::{Lrn, Padding, Pool, lrn_scale};

/// [`conv2d`](crate::conv2d).
pub fn conv2d(
    maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    stride: usize,
    padding: Padding,
) -> Tensor<4> {
    let options = ConvOptions { stride: [stride; 2], padding: padding.pairs(), dilation: [1; 2], groups: 1 };
    module::conv2d(maps, weight, Some(bias), options)
}

/// [`lrn`](crate::lrn).
pub fn lrn(maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    let scale = lrn_scale(maps.clone(), lrn).add_scalar(lrn.k);
    if lrn.beta == 0.75 {
        // The paper's exponent by two square roots: a general power costs several times more.
        let root = scale.sqrt();
        return maps / (root.clone() * root.sqrt());
    }
    maps / scale.powf_scalar(lrn.beta)
}

/// [`max_pool2d`](crate::max_pool2d).
pub fn max_pool2d(maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    module::max_pool2d(
        maps,
        MaxPoolOptions {
            kernel_size: [pool.size; 2],
            stride: [pool.stride; 2],
            padding: [(pool.padding, pool.padding); 2],
            dilation: [1; 2],
            ceil_mode: pool.ceil(),
        },
    )
}
