//! Local response normalization on backends with kernels for it: one pass forward, one backward.

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
pub(super) trait LrnKernels: Backend {
    #[fusion(dtype = feature_maps, shape = feature_maps)]
    fn lrn_forward(feature_maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self>;
}

/// Its gradient, for the backend below automatic differentiation.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(feature = "gpu")
)]
pub(super) trait LrnGradients: Backend {
    #[fusion(dtype = feature_maps, shape = feature_maps)]
    fn lrn_gradient(
        gradient: FloatTensor<Self>,
        feature_maps: FloatTensor<Self>,
        lrn: Lrn,
    ) -> FloatTensor<Self>;
}

/// [`lrn`](crate::lrn), for a tensor that has a kernel.
pub(super) fn lrn(feature_maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as LrnKernels>::lrn_forward(feature_maps.into_dispatch(), *lrn))
}

#[derive(Debug)]
struct Normalize;

impl<B: LrnGradients> Backward<B, 1> for Normalize {
    type State = (FloatTensor<B>, Lrn);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_input], (input, lrn)) = (ops.parents, ops.state);
        if let Some(node) = to_input {
            gradients.register::<B>(node.id, B::lrn_gradient(gradient, input, lrn));
        }
    }
}

impl<B: LrnKernels + LrnGradients, C: CheckpointStrategy> LrnKernels for Autodiff<B, C> {
    fn lrn_forward(feature_maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self> {
        let prepared = Normalize.prepare::<C>([feature_maps.node()]).compute_bound().stateful();
        let input = feature_maps.into_primitive();
        let out = B::lrn_forward(input.clone(), lrn);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((input, lrn), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
