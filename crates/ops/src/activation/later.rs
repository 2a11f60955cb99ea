//! Activations after 2012, made of those of 2012, so that they have the same bits on every processor where these have.

use burn::tensor::Tensor;

/// `slope · x + (1 − slope) · max(0, x)`. At 0 its gradient is the slope, as PyTorch's.
pub(super) fn leaky_relu<const D: usize>(
    values: Tensor<D>,
    slope: f64,
    relu: impl Fn(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    values.clone().mul_scalar(slope) + relu(values).mul_scalar(1.0 - slope)
}

/// `max(0, x) + alpha · (eᶻ − 1)` with `z = min(0, x) = x − max(0, x)`. `eᶻ − 1` is `2t / (1 − t)` with `t = tanh(z / 2)`, exact near 0 too.
pub(super) fn elu<const D: usize>(
    values: Tensor<D>,
    alpha: f64,
    relu: impl Fn(Tensor<D>) -> Tensor<D>,
    tanh: impl Fn(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    let above = relu(values.clone());
    let below = tanh((values - above.clone()).mul_scalar(0.5));
    let grown = below.clone().mul_scalar(2.0 * alpha) / below.neg().add_scalar(1.0);
    above + grown
}

/// `x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`.
pub(super) fn gelu<const D: usize>(values: Tensor<D>, tanh: impl Fn(Tensor<D>) -> Tensor<D>) -> Tensor<D> {
    const ROOT: f64 = 0.797_884_560_802_865_4; // √(2/π)
    let square = values.clone() * values.clone();
    let inner = values.clone() * square.mul_scalar(0.044_715).add_scalar(1.0);
    values.mul_scalar(0.5) * tanh(inner.mul_scalar(ROOT)).add_scalar(1.0)
}

/// `x / (1 + e⁻ˣ)`.
pub(super) fn silu<const D: usize>(values: Tensor<D>, sigmoid: impl Fn(Tensor<D>) -> Tensor<D>) -> Tensor<D> {
    values.clone() * sigmoid(values)
}
