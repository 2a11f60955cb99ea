//! The fully connected layer.

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
use crate::config::Finish;
use crate::shapes::check_biases;

/// A fully connected layer.
///
/// # Shapes
/// - `features`: `[batch, inputs]`
/// - `weight`: `[inputs, outputs]`
/// - `bias`: `[outputs]`
/// - output: `[batch, outputs]`
///
/// # Panics
/// If the shapes do not agree.
pub fn linear(features: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, finish: Finish) -> Tensor<2> {
    check_biases(&bias, weight.dims()[1]);
    if on_flex(&features) {
        flex::linear(features, weight, bias, finish)
    } else if on_gpu(&features) {
        cube::linear(features, weight, bias, finish)
    } else {
        composed::linear(features, weight, bias, finish)
    }
}
