//! The update in Burn's own operations.

use burn::tensor::Tensor;

use crate::config::SgdStep;

/// [`sgd_step`](crate::sgd_step).
pub fn sgd_step<const D: usize>(
    weight: Tensor<D>,
    gradient: Tensor<D>,
    velocity: Tensor<D>,
    step: SgdStep,
) -> (Tensor<D>, Tensor<D>) {
    let SgdStep { learning_rate, momentum, weight_decay } = step;
    let velocity = gradient.mul_scalar(-learning_rate)
        - weight.clone().mul_scalar(learning_rate * weight_decay)
        + velocity.mul_scalar(momentum);
    (weight + velocity.clone(), velocity)
}
