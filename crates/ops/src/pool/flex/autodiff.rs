//! Pooling under automatic differentiation.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, TensorMetadata};

use super::{PoolGradients, PoolKernels};
use crate::config::Pool;

#[derive(Debug)]
struct MaxPool;

impl<B: PoolGradients> Backward<B, 1> for MaxPool {
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

#[derive(Debug)]
struct AvgPool;

impl<B: PoolGradients> Backward<B, 1> for AvgPool {
    type State = ([usize; 4], Pool);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_input], (shape, pool)) = (ops.parents, ops.state);
        if let Some(node) = to_input {
            gradients.register::<B>(node.id, B::avg_pool_gradient(gradient, shape, pool));
        }
    }
}

impl<B: PoolKernels + PoolGradients, C: CheckpointStrategy> PoolKernels for Autodiff<B, C> {
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

    fn avg_pool_forward(feature_maps: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self> {
        let prepared = AvgPool.prepare::<C>([feature_maps.node()]).compute_bound().stateful();
        let input = feature_maps.into_primitive();
        let shape = input.shape().dims();
        let out = B::avg_pool_forward(input, pool);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((shape, pool), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
