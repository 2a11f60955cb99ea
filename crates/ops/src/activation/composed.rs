use burn::tensor::{Tensor, activation};

/// [`tanh`](crate::tanh) from Burn's operations.
pub fn tanh<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    values.tanh()
}

/// [`sigmoid`](crate::sigmoid) from Burn's operations.
pub fn sigmoid<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    activation::sigmoid(values)
}

/// [`relu`](crate::relu) from Burn's operations.
pub fn relu<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    activation::relu(values)
}
