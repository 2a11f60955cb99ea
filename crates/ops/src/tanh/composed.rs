//! The hyperbolic tangent of Burn.

use burn::tensor::Tensor;

/// [`tanh`](crate::tanh).
pub fn tanh<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    values.tanh()
}
