//! Locally connected layers on Flex.

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

use self::kernel::Shape;
use crate::config::Conv2d;
use crate::flex::rectify::RectifyGradient;
use crate::flex::{contiguous, tensor, values};

/// The operation.
#[backend_extension(Flex, Autodiff)]
trait LocalKernels: Backend {
    fn local_forward(
        feature_maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kernel: usize,
        options: Conv2d,
    ) -> FloatTensor<Self>;
}

/// Its gradients, for the backend below automatic differentiation.
trait LocalGradients: RectifyGradient {
    /// The gradient of feature maps of shape `input`.
    fn local_gradient_input(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: [usize; 4],
        kernel: usize,
        options: Conv2d,
    ) -> FloatTensor<Self>;

    fn local_gradient_weight(
        gradient: FloatTensor<Self>,
        feature_maps: FloatTensor<Self>,
        weight: [usize; 4],
        kernel: usize,
        options: Conv2d,
    ) -> FloatTensor<Self>;

    fn local_gradient_bias(gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// [`locally_connected2d`](crate::locally_connected2d).
pub(super) fn locally_connected2d(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    kernel: usize,
    options: Conv2d,
) -> Tensor<4> {
    let (input, weight, bias) = (feature_maps.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as LocalKernels>::local_forward(input, weight, bias, kernel, options))
}

impl LocalKernels for Flex {
    fn local_forward(
        feature_maps: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        kernel: usize,
        options: Conv2d,
    ) -> FlexTensor {
        let (input, weight, bias) = (contiguous(feature_maps), contiguous(weight), contiguous(bias));
        let shape = Shape::new(input.shape().dims(), weight.shape().dims(), kernel, options);
        let out = kernel::forward(values(&input), values(&weight), values(&bias), options.relu, &shape);
        tensor(out, shape.output())
    }
}

impl LocalGradients for Flex {
    fn local_gradient_input(
        gradient: FlexTensor,
        weight: FlexTensor,
        input: [usize; 4],
        kernel: usize,
        options: Conv2d,
    ) -> FlexTensor {
        let (gradient, weight) = (contiguous(gradient), contiguous(weight));
        let shape = Shape::new(input, weight.shape().dims(), kernel, options);
        tensor(kernel::input_gradient(values(&gradient), values(&weight), &shape), input)
    }

    fn local_gradient_weight(
        gradient: FlexTensor,
        feature_maps: FlexTensor,
        weight: [usize; 4],
        kernel: usize,
        options: Conv2d,
    ) -> FlexTensor {
        let (gradient, input) = (contiguous(gradient), contiguous(feature_maps));
        let shape = Shape::new(input.shape().dims(), weight, kernel, options);
        tensor(kernel::weight_gradient(values(&gradient), values(&input), &shape), weight)
    }

    fn local_gradient_bias(gradient: FlexTensor) -> FlexTensor {
        let gradient = contiguous(gradient);
        let [_, filters, rows, columns] = gradient.shape().dims();
        let size = filters * rows * columns;
        tensor(kernel::bias_gradient(values(&gradient), size), [size])
    }
}

#[derive(Debug)]
struct Local;

impl<B: LocalGradients> Backward<B, 3> for Local {
    /// The feature maps, the weights and, where the ReLU needs them, the outputs.
    type State = (FloatTensor<B>, FloatTensor<B>, Option<FloatTensor<B>>, usize, Conv2d);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [to_input, to_weight, to_bias] = ops.parents;
        let (input, weight, outputs, kernel, options) = ops.state;
        let mut gradient = gradients.consume::<B>(&ops.node);
        if let Some(outputs) = outputs {
            gradient = B::rectify_gradient(gradient, outputs, 1.0);
        }
        if let Some(node) = to_bias {
            gradients.register::<B>(node.id, B::local_gradient_bias(gradient.clone()));
        }
        let (of_input, of_weight) = (input.shape().dims(), weight.shape().dims());
        if let Some(node) = to_input {
            let found = B::local_gradient_input(gradient.clone(), weight, of_input, kernel, options);
            gradients.register::<B>(node.id, found);
        }
        if let Some(node) = to_weight {
            let found = B::local_gradient_weight(gradient, input, of_weight, kernel, options);
            gradients.register::<B>(node.id, found);
        }
    }
}

impl<B: LocalKernels + LocalGradients, C: CheckpointStrategy> LocalKernels for Autodiff<B, C> {
    fn local_forward(
        feature_maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        kernel: usize,
        options: Conv2d,
    ) -> FloatTensor<Self> {
        let nodes = [feature_maps.node(), weight.node(), bias.node()];
        let prepared = Local.prepare::<C>(nodes).compute_bound().stateful();
        let (input, weight) = (feature_maps.into_primitive(), weight.into_primitive());
        let out = B::local_forward(input.clone(), weight.clone(), bias.into_primitive(), kernel, options);
        match prepared {
            OpsKind::Tracked(prepared) => {
                let outputs = options.relu.then(|| out.clone());
                prepared.finish((input, weight, outputs, kernel, options), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
