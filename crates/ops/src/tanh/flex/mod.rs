//! The hyperbolic tangent on Flex.

mod kernel;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use crate::flex::{contiguous, elementwise, values};

/// The operation.
#[backend_extension(Flex, Autodiff)]
trait TanhKernels: Backend {
    fn tanh_forward(input: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Its gradient, for the backend below automatic differentiation.
trait TanhGradients: Backend {
    fn tanh_gradient(gradient: FloatTensor<Self>, outputs: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// [`tanh`](crate::tanh).
pub(super) fn tanh<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as TanhKernels>::tanh_forward(values.into_dispatch()))
}

impl TanhKernels for Flex {
    fn tanh_forward(input: FlexTensor) -> FlexTensor {
        let input = contiguous(input);
        elementwise(kernel::forward(values(&input)), &input)
    }
}

impl TanhGradients for Flex {
    fn tanh_gradient(gradient: FlexTensor, outputs: FlexTensor) -> FlexTensor {
        let (gradient, outputs) = (contiguous(gradient), contiguous(outputs));
        elementwise(kernel::gradient(values(&outputs), values(&gradient)), &outputs)
    }
}

#[derive(Debug)]
struct Tanh;

impl<B: TanhGradients> Backward<B, 1> for Tanh {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            gradients.register::<B>(node.id, B::tanh_gradient(gradient, ops.state));
        }
    }
}

impl<B: TanhKernels + TanhGradients, C: CheckpointStrategy> TanhKernels for Autodiff<B, C> {
    fn tanh_forward(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = Tanh.prepare::<C>([input.node()]).compute_bound().stateful();
        let out = B::tanh_forward(input.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(out.clone(), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
