//! Average pooling under automatic differentiation.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, TensorMetadata};

use super::{AvgPoolGradients, AvgPoolKernels};
use crate::config::Pool;

#[derive(Debug)]
struct AvgPool;

impl<B: AvgPoolGradients> Backward<B, 1> for AvgPool {
    type State = ([usize; 4], Pool);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_input], (shape, pool)) = (ops.parents, ops.state);
        if let Some(node) = to_input {
            gradients.register::<B>(node.id, B::avg_pool_gradient(gradient, shape, pool));
        }
    }
}

impl<B: AvgPoolKernels + AvgPoolGradients, C: CheckpointStrategy> AvgPoolKernels for Autodiff<B, C> {
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
