//! Max pooling on backends with kernels for it: one pass forward, one backward.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::config::Pool;

/// The operation.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(feature = "gpu")
)]
pub(crate) trait MaxPoolKernels: Backend {
    /// Returns the maxima and their positions.
    #[fusion(meta = crate::gpu::shapes::pooled)]
    fn max_pool_forward(feature_maps: FloatTensor<Self>, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>);
}

/// Its gradient for feature maps of shape `input`, for the backend below automatic differentiation.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(feature = "gpu")
)]
pub(crate) trait MaxPoolGradients: Backend {
    #[fusion(meta = crate::gpu::shapes::unpooled)]
    fn max_pool_gradient(
        gradient: FloatTensor<Self>,
        argmax: IntTensor<Self>,
        input: [usize; 4],
        pool: Pool,
    ) -> FloatTensor<Self>;
}

/// [`max_pool2d`](crate::max_pool2d), for a tensor that has a kernel.
pub(super) fn max_pool2d(feature_maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    let (maxima, _) = <Dispatch as MaxPoolKernels>::max_pool_forward(feature_maps.into_dispatch(), *pool);
    Tensor::from_dispatch(maxima)
}

#[derive(Debug)]
struct MaxPool;

impl<B: MaxPoolGradients> Backward<B, 1> for MaxPool {
    /// The positions of the maxima and the shape of the input.
    type State = (IntTensor<B>, [usize; 4], Pool);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_input], (argmax, shape, pool)) = (ops.parents, ops.state);
        if let Some(node) = to_input {
            gradients.register::<B>(node.id, B::max_pool_gradient(gradient, argmax, shape, pool));
        }
    }
}

impl<B: MaxPoolKernels + MaxPoolGradients, C: CheckpointStrategy> MaxPoolKernels for Autodiff<B, C> {
    fn max_pool_forward(feature_maps: FloatTensor<Self>, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>) {
        let prepared = MaxPool.prepare::<C>([feature_maps.node()]).compute_bound().stateful();
        let input = feature_maps.into_primitive();
        let shape = input.shape().dims();
        let (maxima, argmax) = B::max_pool_forward(input, pool);
        let maxima = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((argmax.clone(), shape, pool), maxima),
            OpsKind::UnTracked(prepared) => prepared.finish(maxima),
        };
        (maxima, argmax)
    }
}
