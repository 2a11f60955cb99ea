//! Convolution in Burn's own operations.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module;
use burn::tensor::ops::ConvOptions;

use crate::config::{Conv2d, Pool};
use crate::pool::composed::max_pool2d;

/// [`conv2d`](crate::conv2d).
pub fn conv2d(feature_maps: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, options: Conv2d) -> Tensor<4> {
    let feature_maps = product(feature_maps, weight, Some(bias), options);
    if options.relu { relu(feature_maps) } else { feature_maps }
}

/// The convolution alone, with the bias if there is one.
pub(crate) fn product(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: Conv2d,
) -> Tensor<4> {
    module::conv2d(feature_maps, weight, bias, burns(&options))
}

/// Burn's options.
pub(super) fn burns(options: &Conv2d) -> ConvOptions<2> {
    let (stride, padding) = ([options.stride; 2], options.padding.pairs());
    ConvOptions { stride, padding, dilation: [1; 2], groups: options.groups }
}

/// [`conv_max_pool2d`](crate::conv_max_pool2d).
pub fn conv_max_pool2d(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: Conv2d,
    pool: &Pool,
) -> Tensor<4> {
    max_pool2d(conv2d(feature_maps, weight, bias, options), pool)
}
