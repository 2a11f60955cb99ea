use burn::tensor::Tensor;

/// The elementwise hyperbolic tangent.
pub fn tanh<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if crate::backend::on_flex(&values) {
        return crate::flex::tanh(values);
    }
    values.tanh()
}
