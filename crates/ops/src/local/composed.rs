//! Locally connected layers in Burn's own operations.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module;
use burn::tensor::ops::UnfoldOptions;

use crate::config::Conv2d;

/// [`locally_connected2d`](crate::locally_connected2d).
pub fn locally_connected2d(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    kernel: usize,
    options: Conv2d,
) -> Tensor<4> {
    finished(product(feature_maps, weight, kernel, options), bias, options.relu)
}

/// Applies the steps that follow the product.
pub(crate) fn finished(out: Tensor<4>, bias: Tensor<1>, rectified: bool) -> Tensor<4> {
    let [_, filters, rows, columns] = out.dims();
    let out = out + bias.reshape([1, filters, rows, columns]);
    if rectified { relu(out) } else { out }
}

/// The layer without bias.
pub(crate) fn product(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    kernel: usize,
    options: Conv2d,
) -> Tensor<4> {
    assert_eq!(options.groups, 1, "a locally connected layer has no groups");
    let [filters, channels, taps, positions] = weight.dims();
    let feature_maps = feature_maps.pad(options.padding.pairs(), 0.0);
    let [batch, _, height, width] = feature_maps.dims();
    let [rows, columns] = [height, width].map(|side| (side - kernel) / options.stride + 1);
    let unfold = UnfoldOptions::new([options.stride; 2], [0; 2], [1; 2]);
    // One product per position: [position, image, tap] times [position, tap, filter].
    let patches = module::unfold4d(feature_maps, [kernel; 2], unfold).permute([2, 0, 1]);
    let weight = weight.reshape([filters, channels * taps, positions]).permute([2, 1, 0]);
    patches.matmul(weight).permute([1, 2, 0]).reshape([batch, filters, rows, columns])
}
