//! Local response normalization in Burn's own operations.

use burn::tensor::Tensor;

use crate::config::Lrn;

/// [`lrn`](crate::lrn).
pub fn lrn(feature_maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    if lrn.coefficient() == 0.0 {
        return feature_maps.mul_scalar(crate::math::pow(lrn.k, -lrn.beta));
    }
    let scale = lrn_scale(feature_maps.clone(), lrn);
    divide(feature_maps, scale, lrn)
}

/// `alpha · Σ a[j]²`: the term added to `k` in [`lrn`]. Where it is small against `k`, LRN is a constant
/// gain.
///
/// # Shapes
/// Input and output: `[batch, channels, height, width]`.
pub fn lrn_scale(feature_maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    window_sum(feature_maps.square().mul_scalar(lrn.coefficient()), 1, lrn.size)
}

/// The sum over `size` neighbours of each element along a dimension, clipped at the ends. If `size` is even,
/// the extra neighbour is the lower one.
pub(crate) fn window_sum(values: Tensor<4>, dimension: usize, size: usize) -> Tensor<4> {
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

/// `feature_maps / (k + scale)^beta`.
pub(crate) fn divide(feature_maps: Tensor<4>, scale: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    let scale = scale.add_scalar(lrn.k);
    if lrn.beta == 0.75 {
        // Two square roots compute the paper's exponent. A general power costs several times more.
        let root = scale.sqrt();
        return feature_maps / (root.clone() * root.sqrt());
    }
    feature_maps / scale.powf_scalar(lrn.beta)
}
