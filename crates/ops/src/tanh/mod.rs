//! The hyperbolic tangent.

pub(crate) mod composed;
#[cfg(feature = "flex")]
mod flex;
#[cfg(not(feature = "flex"))]
use self::composed as flex;

use burn::tensor::Tensor;

use crate::backend::on_flex;

/// The elementwise hyperbolic tangent.
pub fn tanh<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    if on_flex(&values) { flex::tanh(values) } else { composed::tanh(values) }
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
    }
}
