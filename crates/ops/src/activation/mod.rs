//! The activations: ReLU, hyperbolic tangent and logistic function.

pub(crate) mod composed;
#[cfg(feature = "flex")]
mod flex;
#[cfg(not(feature = "flex"))]
use self::composed as flex;

use burn::tensor::Tensor;

use crate::backend::on_flex;

/// The elementwise max(0, x) (Krizhevsky et al. 2012, §3.1). NaN stays NaN, and −0 becomes 0.
pub fn relu<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    if on_flex(&values) { flex::relu(values) } else { composed::relu(values) }
}

/// The elementwise hyperbolic tangent.
pub fn tanh<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    if on_flex(&values) { flex::tanh(values) } else { composed::tanh(values) }
}

/// The elementwise logistic function, `1 / (1 + e⁻ˣ)`.
pub fn sigmoid<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    if on_flex(&values) { flex::sigmoid(values) } else { composed::sigmoid(values) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, with_gradients};

    #[test]
    fn kernels_and_composed_forms_agree_through_automatic_differentiation() {
        let input = || [(numbers(2 * 3 * 5 * 6, 5).iter().map(|v| v * 4.0).collect(), [2, 3, 5, 6])];
        assert_close(
            &with_gradients(input(), |x| tanh(x[0].clone())),
            &with_gradients(input(), |x| composed::tanh(x[0].clone())),
        );
        assert_close(
            &with_gradients(input(), |x| relu(x[0].clone())),
            &with_gradients(input(), |x| composed::relu(x[0].clone())),
        );
        assert_close(
            &with_gradients(input(), |x| sigmoid(x[0].clone())),
            &with_gradients(input(), |x| composed::sigmoid(x[0].clone())),
        );
    }
}
