//! LRN with the max pooling after it on backends with kernels for it: one pass forward, one backward.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::config::{Lrn, Pool};

/// The operation.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(feature = "gpu")
)]
pub(super) trait LrnPoolKernels: Backend {
    /// Returns the maxima and their positions.
    #[fusion(meta = crate::gpu::shapes::normalized_and_pooled)]
    fn lrn_pool_forward(
        feature_maps: FloatTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>);
}

/// Its gradient, for the backend below automatic differentiation.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(feature = "gpu")
)]
pub(super) trait LrnPoolGradients: Backend {
    #[fusion(dtype = feature_maps, shape = feature_maps)]
    fn lrn_pool_gradient(
        gradient: FloatTensor<Self>,
        feature_maps: FloatTensor<Self>,
        argmax: IntTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> FloatTensor<Self>;
}

/// [`lrn_max_pool2d`](crate::lrn_max_pool2d), for a tensor that has a kernel.
pub(super) fn lrn_max_pool2d(feature_maps: Tensor<4>, lrn: &Lrn, pool: &Pool) -> Tensor<4> {
    let input = feature_maps.into_dispatch();
    let (maxima, _) = <Dispatch as LrnPoolKernels>::lrn_pool_forward(input, *lrn, *pool);
    Tensor::from_dispatch(maxima)
}

#[derive(Debug)]
struct LrnPool;

impl<B: LrnPoolGradients> Backward<B, 1> for LrnPool {
    type State = (FloatTensor<B>, IntTensor<B>, Lrn, Pool);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_input], (input, argmax, lrn, pool)) = (ops.parents, ops.state);
        if let Some(node) = to_input {
            let to_input = B::lrn_pool_gradient(gradient, input, argmax, lrn, pool);
            gradients.register::<B>(node.id, to_input);
        }
    }
}

impl<B: LrnPoolKernels + LrnPoolGradients, C: CheckpointStrategy> LrnPoolKernels for Autodiff<B, C> {
    fn lrn_pool_forward(
        feature_maps: FloatTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>) {
        let prepared = LrnPool.prepare::<C>([feature_maps.node()]).compute_bound().stateful();
        let input = feature_maps.into_primitive();
        let (maxima, argmax) = B::lrn_pool_forward(input.clone(), lrn, pool);
        let maxima = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((input, argmax.clone(), lrn, pool), maxima),
            OpsKind::UnTracked(prepared) => prepared.finish(maxima),
        };
        (maxima, argmax)
    }
}
