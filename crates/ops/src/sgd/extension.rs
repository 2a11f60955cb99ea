//! The update on backends with a kernel for it: one pass.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::config::SgdStep;

/// The operation. It has no gradient, so automatic differentiation does not implement it.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(feature = "gpu")
)]
pub(super) trait SgdKernels: Backend {
    /// Returns the new weights and velocities.
    #[fusion(meta = crate::gpu::shapes::stepped)]
    fn sgd_update(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: SgdStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// [`sgd_step`](crate::sgd_step), for tensors that have a kernel.
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
