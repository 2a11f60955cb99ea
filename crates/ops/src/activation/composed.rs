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

/// [`leaky_relu`](crate::leaky_relu) from Burn's operations.
pub fn leaky_relu<const D: usize>(values: Tensor<D>, slope: f64) -> Tensor<D> {
    super::later::leaky_relu(values, slope, relu)
}

/// [`elu`](crate::elu) from Burn's operations.
pub fn elu<const D: usize>(values: Tensor<D>, alpha: f64) -> Tensor<D> {
    super::later::elu(values, alpha, relu, tanh)
}

/// [`gelu`](crate::gelu) from Burn's operations.
pub fn gelu<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    super::later::gelu(values, tanh)
}

/// [`silu`](crate::silu) from Burn's operations.
pub fn silu<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    super::later::silu(values, sigmoid)
}
