//! LRN within each map on backends with kernels for it: one pass forward, one backward.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::config::Lrn;

/// The operation.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(feature = "gpu")
)]
pub(super) trait SpatialLrnKernels: Backend {
    #[fusion(dtype = feature_maps, shape = feature_maps)]
    fn spatial_lrn_forward(feature_maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self>;
}

/// Its gradient, for the backend below automatic differentiation.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(feature = "gpu")
)]
pub(super) trait SpatialLrnGradients: Backend {
    #[fusion(dtype = feature_maps, shape = feature_maps)]
    fn spatial_lrn_gradient(
        gradient: FloatTensor<Self>,
        feature_maps: FloatTensor<Self>,
        lrn: Lrn,
    ) -> FloatTensor<Self>;
}

/// [`spatial_lrn`](crate::spatial_lrn), for a tensor that has a kernel.
pub(super) fn spatial_lrn(feature_maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    let out = <Dispatch as SpatialLrnKernels>::spatial_lrn_forward(feature_maps.into_dispatch(), *lrn);
    Tensor::from_dispatch(out)
}

#[derive(Debug)]
struct SpatialLrn;

impl<B: SpatialLrnGradients> Backward<B, 1> for SpatialLrn {
    type State = (FloatTensor<B>, Lrn);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_input], (input, lrn)) = (ops.parents, ops.state);
        if let Some(node) = to_input {
            gradients.register::<B>(node.id, B::spatial_lrn_gradient(gradient, input, lrn));
        }
    }
}

impl<B: SpatialLrnKernels + SpatialLrnGradients, C: CheckpointStrategy> SpatialLrnKernels for Autodiff<B, C> {
    fn spatial_lrn_forward(feature_maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self> {
        let prepared = SpatialLrn.prepare::<C>([feature_maps.node()]).compute_bound().stateful();
        let input = feature_maps.into_primitive();
        let out = B::spatial_lrn_forward(input.clone(), lrn);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((input, lrn), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
