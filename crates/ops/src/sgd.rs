use burn::tensor::Tensor;

use crate::config::SgdStep;

/// The update of Krizhevsky et al. 2012, §5. Returns the new weights and velocities.
///
/// ```text
/// v ← momentum · v − weight_decay · ε · w − ε · g
/// w ← w + v
/// ```
///
/// # Shapes
/// All tensors have the same shape.
pub fn sgd_step<const D: usize>(
    weight: Tensor<D>,
    gradient: Tensor<D>,
    velocity: Option<Tensor<D>>,
    how: SgdStep,
) -> (Tensor<D>, Tensor<D>) {
    let velocity = velocity.unwrap_or_else(|| gradient.zeros_like());
    #[cfg(feature = "flex")]
    if crate::backend::on_flex(&weight) {
        return crate::flex::sgd_step(weight, gradient, velocity, how);
    }
    crate::composed::sgd_step(weight, gradient, velocity, how)
}
