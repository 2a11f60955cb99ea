//! Layers' products in f32 on GPU backends: patches of the input times the weights.
//!
//! CubeCL's convolutions without tensor cores have a slow weight gradient or none, and with them f32 becomes TF32.

use burn::tensor::Tensor;

use super::patches::{Window, patches};
use super::product::product;
use crate::config::Conv2d;

/// A convolution without bias, of the shapes of [`conv2d`](crate::conv2d).
pub(super) fn convolution(feature_maps: Tensor<4>, weight: Tensor<4>, options: Conv2d) -> Tensor<4> {
    let [batch, _, height, width] = feature_maps.dims();
    let [filters, channels, kernel, _] = weight.dims();
    let window = Window::of(&options, kernel, [height, width]);
    let shape = [options.groups, filters / options.groups, kernel * kernel * channels];
    let weight = weight.permute([0, 2, 3, 1]).reshape(shape).swap_dims(1, 2);
    // [group, pixel of an image, filter of the group]
    let out = product(patches(feature_maps, window), weight);
    out.swap_dims(0, 1).reshape([batch, window.rows, window.columns, filters]).permute([0, 3, 1, 2])
}

/// A locally connected layer without bias, of the shapes of [`locally_connected2d`](crate::locally_connected2d).
pub(super) fn local(feature_maps: Tensor<4>, weight: Tensor<4>, kernel: usize, options: Conv2d) -> Tensor<4> {
    assert_eq!(options.groups, 1, "a locally connected layer has no groups");
    let [batch, _, height, width] = feature_maps.dims();
    let [filters, channels, taps, positions] = weight.dims();
    let window = Window::of(&options, kernel, [height, width]);
    let patches = patches(feature_maps, window).reshape([batch, positions, taps * channels]);
    let weight = weight.permute([3, 2, 1, 0]).reshape([positions, taps * channels, filters]);
    let out = product(patches.swap_dims(0, 1), weight);
    out.permute([1, 2, 0]).reshape([batch, filters, window.rows, window.columns])
}

/// `[rows, inner] · [inner, columns]`.
pub(super) fn matrix(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
    product(left.unsqueeze(), right.unsqueeze()).squeeze_dim(0)
}
