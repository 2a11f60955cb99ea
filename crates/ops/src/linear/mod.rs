//! The fully connected layer.

pub(crate) mod composed;
#[cfg(feature = "flex")]
mod flex;
#[cfg(not(feature = "flex"))]
use self::composed as flex;

use burn::tensor::Tensor;

use crate::backend::on_flex;
use crate::config::Finish;

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
    if on_flex(&features) {
        flex::linear(features, weight, bias, finish)
    } else {
        composed::linear(features, weight, bias, finish)
    }
}
