//! The update of the weights.

pub(crate) mod composed;
#[cfg(feature = "gpu")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
mod together;
#[cfg(not(feature = "flex"))]
use self::composed as flex;

use burn::tensor::Tensor;

use crate::backend::on_flex;
use crate::config::SgdStep;

pub use together::SgdSteps;

/// The update of Krizhevsky et al. 2012, §5. Returns the new weights and velocities. [`SgdSteps`] makes many.
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
    step: SgdStep,
) -> (Tensor<D>, Tensor<D>) {
    if SgdSteps::takes(&weight) {
        let (mut alone, device) = (SgdSteps::default(), weight.device());
        alone.add(weight, gradient, velocity, step);
        alone.make();
        return alone.take(&device).expect("it was added");
    }
    let velocity = velocity.unwrap_or_else(|| gradient.zeros_like());
    if on_flex(&weight) {
        flex::sgd_step(weight, gradient, velocity, step)
    } else {
        composed::sgd_step(weight, gradient, velocity, step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{device, numbers, tensor, values};

    /// The update writes into the memory of the gradient and the velocity, unless someone else also holds it.
    #[test]
    fn an_update_has_the_composed_forms_bits_and_leaves_what_others_hold() {
        let device = device();
        let vector = |seed| tensor([40_000], seed, &device);
        let step = SgdStep { learning_rate: 0.01, momentum: 0.9, weight_decay: 5e-4 };
        let (weight, gradient, velocity) = (vector(1), vector(2), vector(3));
        let ours = sgd_step(weight.clone(), gradient.clone(), Some(velocity.clone()), step);
        assert_eq!(
            [1, 2, 3].map(|seed| numbers(40_000, seed)),
            [&weight, &gradient, &velocity].map(|t| values(t.clone()))
        );
        let expected = composed::sgd_step(weight, gradient, velocity, step);
        assert_eq!([values(ours.0), values(ours.1)], [values(expected.0), values(expected.1)]);
        let first = sgd_step(vector(1), vector(2), None, step);
        let expected = composed::sgd_step(vector(1), vector(2), Tensor::zeros([40_000], &device), step);
        assert_eq!([values(first.0), values(first.1)], [values(expected.0), values(expected.1)]);
    }
}
