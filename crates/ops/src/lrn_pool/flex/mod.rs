//! Local response normalization with the max pooling after it, on Flex.

mod kernel;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::config::{Lrn, Pool};
use crate::flex::{MANY_IMAGES, contiguous, elementwise, positions, values, with_argmax};
use crate::pool::flex::lines::Pooling;
use crate::pool::flex::max::fits_byte;

/// The operation.
#[backend_extension(Flex, Autodiff)]
trait LrnPoolKernels: Backend {
    /// Returns the maxima and their positions.
    fn lrn_pool_forward(
        feature_maps: FloatTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>);
}

/// Its gradient, for the backend below automatic differentiation.
trait LrnPoolGradients: Backend {
    fn lrn_pool_gradient(
        gradient: FloatTensor<Self>,
        feature_maps: FloatTensor<Self>,
        argmax: IntTensor<Self>,
        lrn: Lrn,
        pool: Pool,
    ) -> FloatTensor<Self>;
}

/// [`lrn_max_pool2d`](crate::lrn_max_pool2d).
pub(super) fn lrn_max_pool2d(feature_maps: Tensor<4>, lrn: &Lrn, pool: &Pool) -> Tensor<4> {
    // With few images, threads share the work plane by plane, which LRN does not allow.
    if !fits_byte(pool) || lrn.coefficient() == 0.0 || feature_maps.dims()[0] < MANY_IMAGES {
        return crate::max_pool2d(crate::lrn(feature_maps, lrn), pool);
    }
    let input = feature_maps.into_dispatch();
    let (maxima, _) = <Dispatch as LrnPoolKernels>::lrn_pool_forward(input, *lrn, *pool);
    Tensor::from_dispatch(maxima)
}

impl LrnPoolKernels for Flex {
    fn lrn_pool_forward(feature_maps: FlexTensor, lrn: Lrn, pool: Pool) -> (FlexTensor, FlexTensor) {
        let input = contiguous(feature_maps);
        let [batch, channels, height, width] = input.shape().dims();
        let shape = Pooling::new([height, width], pool);
        let (maxima, argmax) = kernel::forward(values(&input), channels, &lrn, &shape);
        with_argmax(maxima, argmax, [batch, channels, shape.output[0], shape.output[1]])
    }
}

impl LrnPoolGradients for Flex {
    fn lrn_pool_gradient(
        gradient: FlexTensor,
        feature_maps: FlexTensor,
        argmax: FlexTensor,
        lrn: Lrn,
        pool: Pool,
    ) -> FlexTensor {
        let (gradient, input) = (contiguous(gradient), contiguous(feature_maps));
        let [_, channels, height, width] = input.shape().dims();
        let shape = Pooling::new([height, width], pool);
        let (gradient, argmax) = (values(&gradient), positions(&argmax));
        let out = kernel::gradient(values(&input), gradient, argmax, channels, &lrn, &shape);
        elementwise(out, &input)
    }
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
