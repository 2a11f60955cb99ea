//! The update on Flex.

mod kernel;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use crate::config::SgdStep;
use crate::flex::{contiguous, owned, values};

/// The operation. It has no gradient, so automatic differentiation does not implement it.
#[backend_extension(Flex)]
trait SgdKernels: Backend {
    /// Returns the new weights and velocities.
    fn sgd_update(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: SgdStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// [`sgd_step`](crate::sgd_step).
pub(super) fn sgd_step<const D: usize>(
    weight: Tensor<D>,
    gradient: Tensor<D>,
    velocity: Tensor<D>,
    step: SgdStep,
) -> (Tensor<D>, Tensor<D>) {
    let (weight, gradient) = (weight.into_dispatch(), gradient.into_dispatch());
    let (weight, velocity) =
        <Dispatch as SgdKernels>::sgd_update(weight, gradient, velocity.into_dispatch(), step);
    (Tensor::from_dispatch(weight), Tensor::from_dispatch(velocity))
}

impl SgdKernels for Flex {
    fn sgd_update(
        weight: FlexTensor,
        gradient: FlexTensor,
        velocity: FlexTensor,
        step: SgdStep,
    ) -> (FlexTensor, FlexTensor) {
        let weight = contiguous(weight);
        // The gradient is no longer needed: its memory takes the new weights.
        let (mut gradient, mut velocity) = (owned(gradient), owned(velocity));
        kernel::update(values(&weight), gradient.storage_mut(), velocity.storage_mut(), &step);
        (gradient, velocity)
    }
}
