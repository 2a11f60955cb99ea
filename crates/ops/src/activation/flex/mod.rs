//! The activations on Flex.

mod kernel;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use self::kernel::Function;
use crate::flex::{contiguous, elementwise, values};

/// The operation.
#[backend_extension(Flex, Autodiff)]
trait ActivationKernels: Backend {
    fn activation_forward(input: FloatTensor<Self>, function: Function) -> FloatTensor<Self>;
}

/// Its gradient, for the backend below automatic differentiation.
trait ActivationGradients: Backend {
    fn activation_gradient(
        gradient: FloatTensor<Self>,
        outputs: FloatTensor<Self>,
        function: Function,
    ) -> FloatTensor<Self>;
}

/// [`relu`](crate::relu).
pub(super) fn relu<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    apply(values, Function::Relu)
}

/// [`tanh`](crate::tanh).
pub(super) fn tanh<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    apply(values, Function::Tanh)
}

/// [`sigmoid`](crate::sigmoid).
pub(super) fn sigmoid<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    apply(values, Function::Sigmoid)
}

fn apply<const D: usize>(values: Tensor<D>, function: Function) -> Tensor<D> {
    let values = values.into_dispatch();
    Tensor::from_dispatch(<Dispatch as ActivationKernels>::activation_forward(values, function))
}

impl ActivationKernels for Flex {
    fn activation_forward(input: FlexTensor, function: Function) -> FlexTensor {
        let input = contiguous(input);
        elementwise(kernel::forward(values(&input), function), &input)
    }
}

impl ActivationGradients for Flex {
    fn activation_gradient(gradient: FlexTensor, outputs: FlexTensor, function: Function) -> FlexTensor {
        let (gradient, outputs) = (contiguous(gradient), contiguous(outputs));
        elementwise(kernel::gradient(values(&outputs), values(&gradient), function), &outputs)
    }
}

#[derive(Debug)]
struct Activation;

impl<B: ActivationGradients> Backward<B, 1> for Activation {
    /// The outputs.
    type State = (FloatTensor<B>, Function);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let ([Some(node)], (outputs, function)) = (ops.parents, ops.state) {
            gradients.register::<B>(node.id, B::activation_gradient(gradient, outputs, function));
        }
    }
}

impl<B: ActivationKernels + ActivationGradients, C: CheckpointStrategy> ActivationKernels for Autodiff<B, C> {
    fn activation_forward(input: FloatTensor<Self>, function: Function) -> FloatTensor<Self> {
        let prepared = Activation.prepare::<C>([input.node()]).compute_bound().stateful();
        let out = B::activation_forward(input.into_primitive(), function);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((out.clone(), function), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
