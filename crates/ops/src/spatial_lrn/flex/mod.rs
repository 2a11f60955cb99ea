//! Local response normalization within each feature map, on Flex.

mod kernel;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::config::Lrn;
use crate::flex::{contiguous, elementwise, values};

/// The operation.
#[backend_extension(Flex, Autodiff)]
trait SpatialLrnKernels: Backend {
    fn spatial_lrn_forward(feature_maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self>;
}

/// Its gradient, for the backend below automatic differentiation.
trait SpatialLrnGradients: Backend {
    fn spatial_lrn_gradient(
        gradient: FloatTensor<Self>,
        feature_maps: FloatTensor<Self>,
        lrn: Lrn,
    ) -> FloatTensor<Self>;
}

/// [`spatial_lrn`](crate::spatial_lrn).
pub(super) fn spatial_lrn(feature_maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    let out = <Dispatch as SpatialLrnKernels>::spatial_lrn_forward(feature_maps.into_dispatch(), *lrn);
    Tensor::from_dispatch(out)
}

impl SpatialLrnKernels for Flex {
    fn spatial_lrn_forward(feature_maps: FlexTensor, lrn: Lrn) -> FlexTensor {
        let input = contiguous(feature_maps);
        let [_, _, height, width] = input.shape().dims();
        elementwise(kernel::forward(values(&input), [height, width], &lrn), &input)
    }
}

impl SpatialLrnGradients for Flex {
    fn spatial_lrn_gradient(gradient: FlexTensor, feature_maps: FlexTensor, lrn: Lrn) -> FlexTensor {
        let (gradient, input) = (contiguous(gradient), contiguous(feature_maps));
        let [_, _, height, width] = input.shape().dims();
        elementwise(kernel::gradient(values(&input), values(&gradient), [height, width], &lrn), &input)
    }
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
