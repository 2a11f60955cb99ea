use burn::tensor::Tensor;

use crate::config::Finish;

/// A fully connected layer.
///
/// # Shapes
/// - `units`: `[batch, inputs]`
/// - `weight`: `[inputs, outputs]`
/// - `bias`: `[outputs]`
/// - output: `[batch, outputs]`
///
/// # Panics
/// If the shapes do not agree.
pub fn linear(units: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, finish: Finish) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if crate::backend::on_flex(&units) {
        return crate::flex::linear(units, weight, bias, finish);
    }
    crate::composed::linear(units, weight, bias, finish)
}
