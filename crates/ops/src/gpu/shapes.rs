//! The shapes of operations with several outputs, or with one whose shape no input has, for Burn's fusion.

use burn::backend::fusion::custom::TensorSpec;
use burn::tensor::DType;

use crate::config::{Lrn, Pool, SgdStep};

/// The maxima of windows and their positions.
pub(crate) fn pooled(maps: &TensorSpec, pool: &Pool) -> (TensorSpec, TensorSpec) {
    let [batch, channels, height, width] = maps.shape.dims();
    let [rows, columns] = pool.output_sides([height, width]);
    let shape = [batch, channels, rows, columns];
    (TensorSpec::new(shape.into(), maps.dtype), TensorSpec::new(shape.into(), DType::U32))
}

/// [`pooled`], after LRN.
pub(crate) fn normalized_and_pooled(maps: &TensorSpec, _: &Lrn, pool: &Pool) -> (TensorSpec, TensorSpec) {
    pooled(maps, pool)
}

/// [`pooled`], after a bias and perhaps a ReLU.
pub(crate) fn finished_and_pooled(
    maps: &TensorSpec,
    _: &TensorSpec,
    _: &bool,
    pool: &Pool,
) -> (TensorSpec, TensorSpec) {
    pooled(maps, pool)
}

/// The gradient of feature maps of shape `input`.
pub(crate) fn unpooled(gradient: &TensorSpec, _: &TensorSpec, input: &[usize; 4], _: &Pool) -> TensorSpec {
    TensorSpec::new((*input).into(), gradient.dtype)
}

/// The bias of feature maps `[batch, channels, height, width]` or of features `[batch, features]`.
pub(crate) fn bias_of(values: &TensorSpec) -> TensorSpec {
    TensorSpec::new([values.shape[1]].into(), values.dtype)
}

/// The gradient before a ReLU, and that of the bias.
pub(crate) fn rectified(gradient: &TensorSpec, _: &TensorSpec, _: &f32) -> (TensorSpec, TensorSpec) {
    (gradient.clone(), bias_of(gradient))
}

/// The new weights and velocities.
pub(crate) fn stepped(
    weights: &[TensorSpec],
    _: &[TensorSpec],
    _: &[TensorSpec],
    _: &[SgdStep],
) -> (Vec<TensorSpec>, Vec<TensorSpec>) {
    (weights.to_vec(), weights.to_vec())
}

/// A loss.
pub(crate) fn loss(logits: &TensorSpec, _: &TensorSpec) -> TensorSpec {
    TensorSpec::new([1].into(), logits.dtype)
}

/// The numbers that say where an input is cut: image, top, left, and whether it is mirrored.
pub(crate) const PLACES: usize = 4;

/// Inputs that are cut from images.
pub(crate) fn cut(
    _: &TensorSpec,
    places: &TensorSpec,
    _: &TensorSpec,
    mean: &TensorSpec,
    _: &usize,
    _: &usize,
) -> TensorSpec {
    let [channels, side, _] = mean.shape.dims();
    TensorSpec::new([places.shape[0] / PLACES, channels, side, side].into(), mean.dtype)
}
