//! Convolution, alone and with the max pooling after it, and the locally connected layer.

pub(crate) mod composed;
#[cfg(feature = "gpu")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(not(feature = "flex"))]
use self::composed as flex;
#[cfg(not(feature = "gpu"))]
use self::composed as cube;

use burn::tensor::Tensor;

use crate::backend::{on_flex, on_gpu};
use crate::config::{Conv2d, Pool};
use crate::shapes::check_biases;

/// Two-dimensional convolution (cross-correlation, as in every deep-learning library) with bias.
///
/// # Shapes
/// - `feature_maps`: `[batch, channels_in, height, width]`
/// - `weight`: `[channels_out, channels_in / groups, kernel, kernel]`
/// - `bias`: `[channels_out]`
/// - output: `[batch, channels_out, (height + top + bottom − kernel) / stride + 1, …]`, rounded down
///
/// # Panics
/// If the shapes do not agree.
pub fn conv2d(feature_maps: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, options: Conv2d) -> Tensor<4> {
    check_biases(&bias, weight.dims()[0]);
    if on_flex(&feature_maps) {
        flex::conv2d(feature_maps, weight, bias, options)
    } else if on_gpu(&feature_maps) {
        cube::conv2d(feature_maps, weight, bias, options)
    } else {
        composed::conv2d(feature_maps, weight, bias, options)
    }
}

/// [`conv2d`], then [`max_pool2d`](crate::max_pool2d). Both run as one operation where that avoids writing
/// the feature maps between them to memory. The result is the same.
///
/// # Shapes
/// Same as [`conv2d`]; the output's height and width are those of the pooling.
///
/// # Panics
/// Same as [`conv2d`].
pub fn conv_max_pool2d(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: Conv2d,
    pool: &Pool,
) -> Tensor<4> {
    check_biases(&bias, weight.dims()[0]);
    if on_flex(&feature_maps) {
        flex::conv_max_pool2d(feature_maps, weight, bias, options, pool)
    } else if on_gpu(&feature_maps) {
        cube::conv_max_pool2d(feature_maps, weight, bias, options, pool)
    } else {
        composed::conv_max_pool2d(feature_maps, weight, bias, options, pool)
    }
}
