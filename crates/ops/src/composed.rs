//! The operations built from Burn's own, on every backend and differentiated by Burn.
//!
//! They run where a backend has no custom kernel, and serve as the reference where it has one.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module;
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions, UnfoldOptions};

use crate::config::{Conv2d, Finish, Lrn, Pool, SgdStep};

/// [`conv2d`](crate::conv2d).
pub fn conv2d(maps: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, how: Conv2d) -> Tensor<4> {
    let (stride, padding) = ([how.stride; 2], how.padding.pairs());
    let options = ConvOptions { stride, padding, dilation: [1; 2], groups: how.groups };
    let maps = module::conv2d(maps, weight, Some(bias), options);
    if how.relu { relu(maps) } else { maps }
}

/// [`locally_connected2d`](crate::locally_connected2d).
pub fn locally_connected2d(
    maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    kernel: usize,
    how: Conv2d,
) -> Tensor<4> {
    assert_eq!(how.groups, 1, "a locally connected layer has no groups");
    let [filters, channels, taps, places] = weight.dims();
    let maps = maps.pad(how.padding.pairs(), 0.0);
    let [batch, _, height, width] = maps.dims();
    let [rows, columns] = [height, width].map(|side| (side - kernel) / how.stride + 1);
    let options = UnfoldOptions::new([how.stride; 2], [0; 2], [1; 2]);
    // One product per position: [position, image, tap] times [position, tap, filter].
    let patches = module::unfold4d(maps, [kernel; 2], options).permute([2, 0, 1]);
    let weight = weight.reshape([filters, channels * taps, places]).permute([2, 1, 0]);
    let maps = patches.matmul(weight).permute([1, 2, 0]) + bias.reshape([1, filters, places]);
    let maps = maps.reshape([batch, filters, rows, columns]);
    if how.relu { relu(maps) } else { maps }
}

/// [`linear`](crate::linear).
pub fn linear(units: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, finish: Finish) -> Tensor<2> {
    let units = module::linear(units, weight, Some(bias));
    match finish {
        Finish::Plain => units,
        Finish::Relu => relu(units),
        Finish::ReluDropout(mask) => {
            let factors = mask.to_tensor(&units.device());
            relu(units) * factors
        }
    }
}

/// [`sgd_step`](crate::sgd_step).
pub fn sgd_step<const D: usize>(
    weight: Tensor<D>,
    gradient: Tensor<D>,
    velocity: Tensor<D>,
    how: SgdStep,
) -> (Tensor<D>, Tensor<D>) {
    let SgdStep { learning_rate, momentum, weight_decay } = how;
    let velocity = gradient.mul_scalar(-learning_rate)
        - weight.clone().mul_scalar(learning_rate * weight_decay)
        + velocity.mul_scalar(momentum);
    (weight + velocity.clone(), velocity)
}

/// `alpha · Σ a[j]²`: the term added to `k` in [`lrn`]. Where it is small against `k`, LRN is a constant
/// gain.
///
/// # Shapes
/// Input and output: `[batch, channels, height, width]`.
pub fn lrn_scale(maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    window_sum(maps.square().mul_scalar(lrn.coefficient()), 1, lrn.size)
}

/// The sum over `size` neighbours of each element along a dimension, clipped at the ends. If `size` is even,
/// the extra neighbour is the lower one.
fn window_sum(values: Tensor<4>, dimension: usize, size: usize) -> Tensor<4> {
    let mut shape = values.dims();
    let (below, length, device) = (size / 2, shape[dimension], values.device());
    let above = size - 1 - below;
    let mut zeros = |count| {
        shape[dimension] = count;
        (count > 0).then(|| Tensor::<4>::zeros(shape, &device))
    };
    let padded = [zeros(below), Some(values), zeros(above)];
    let padded = Tensor::cat(padded.into_iter().flatten().collect(), dimension);
    (0..size)
        .map(|offset| padded.clone().narrow(dimension, offset, length))
        .reduce(|sum, window| sum + window)
        .expect("an LRN window has at least one element")
}

/// [`lrn`](crate::lrn).
pub fn lrn(maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    if lrn.coefficient() == 0.0 {
        return maps.mul_scalar(lrn.k.powf(-lrn.beta));
    }
    let scale = lrn_scale(maps.clone(), lrn);
    divide(maps, scale, lrn)
}

/// [`spatial_lrn`](crate::spatial_lrn).
pub fn spatial_lrn(maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    let squares = maps.clone().square().mul_scalar(lrn.spatial_coefficient());
    let scale = window_sum(window_sum(squares, 2, lrn.size), 3, lrn.size);
    divide(maps, scale, lrn)
}

/// `maps / (k + scale)^beta`.
fn divide(maps: Tensor<4>, scale: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    let scale = scale.add_scalar(lrn.k);
    if lrn.beta == 0.75 {
        // Two square roots compute the paper's exponent. A general power costs several times more.
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

/// [`avg_pool2d`](crate::avg_pool2d).
pub fn avg_pool2d(maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    module::avg_pool2d(
        maps,
        AvgPoolOptions {
            kernel_size: [pool.size; 2],
            stride: [pool.stride; 2],
            padding: [(pool.padding, pool.padding); 2],
            count_include_pad: false,
            ceil_mode: pool.ceil(),
        },
    )
}
