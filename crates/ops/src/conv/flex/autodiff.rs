//! Convolution under automatic differentiation: the state kept for the gradients, and the gradients.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, TensorMetadata};

use super::{ConvGradients, ConvKernels};
use crate::config::{Conv2d, Pool};

#[derive(Debug)]
struct Conv;

impl<B: ConvGradients> Backward<B, 3> for Conv {
    /// The feature maps, the weights and, where the ReLU needs them, the outputs.
    type State = (FloatTensor<B>, FloatTensor<B>, Option<FloatTensor<B>>, Conv2d);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [to_input, to_weight, to_bias] = ops.parents;
        let (input, weight, outputs, options) = ops.state;
        let mut gradient = gradients.consume::<B>(&ops.node);
        if let Some(outputs) = outputs {
            gradient = B::rectify_gradient(gradient, outputs, 1.0);
        }
        if let Some(node) = to_bias {
            gradients.register::<B>(node.id, B::conv_gradient_bias(gradient.clone()));
        }
        // The images need no gradient, and the first layer's input gradient would be the most expensive part.
        if let Some(node) = to_input {
            let (shape, weight) = (input.shape().dims(), weight.clone());
            let to_input = B::conv_gradient_input(gradient.clone(), weight, shape, options);
            gradients.register::<B>(node.id, to_input);
        }
        if let Some(node) = to_weight {
            let shape = weight.shape().dims();
            gradients.register::<B>(node.id, B::conv_gradient_weight(gradient, input, shape, options));
        }
    }
}

#[derive(Debug)]
struct ConvPool;

impl<B: ConvGradients> Backward<B, 3> for ConvPool {
    /// The feature maps, the weights, the positions of the maxima and, where the ReLU needs them, the maxima.
    type State = (FloatTensor<B>, FloatTensor<B>, IntTensor<B>, Option<FloatTensor<B>>, Conv2d, Pool);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [to_input, to_weight, to_bias] = ops.parents;
        let (input, weight, argmax, maxima, options, pool) = ops.state;
        let mut gradient = gradients.consume::<B>(&ops.node);
        if let Some(maxima) = maxima {
            // Where the ReLU cut a window's maximum to zero, it also cut every pixel the gradient could
            // reach.
            gradient = B::rectify_gradient(gradient, maxima, 1.0);
        }
        if let Some(node) = to_bias {
            // Each maximum's gradient goes to one pixel, so the sums over maxima and over pixels are equal.
            gradients.register::<B>(node.id, B::conv_gradient_bias(gradient.clone()));
        }
        if let Some(node) = to_input {
            let (shape, weight) = (input.shape().dims(), weight.clone());
            let (gradient, argmax) = (gradient.clone(), argmax.clone());
            let to_input = B::conv_pool_gradient_input(gradient, argmax, weight, shape, options, pool);
            gradients.register::<B>(node.id, to_input);
        }
        if let Some(node) = to_weight {
            let shape = weight.shape().dims();
            let to_weight = B::conv_pool_gradient_weight(gradient, argmax, input, shape, options, pool);
            gradients.register::<B>(node.id, to_weight);
        }
    }
}

impl<B: ConvKernels + ConvGradients, C: CheckpointStrategy> ConvKernels for Autodiff<B, C> {
    fn conv_forward(
        feature_maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: Conv2d,
    ) -> FloatTensor<Self> {
        let nodes = [feature_maps.node(), weight.node(), bias.node()];
        let prepared = Conv.prepare::<C>(nodes).compute_bound().stateful();
        let (input, weight) = (feature_maps.into_primitive(), weight.into_primitive());
        let out = B::conv_forward(input.clone(), weight.clone(), bias.into_primitive(), options);
        match prepared {
            OpsKind::Tracked(prepared) => {
                let outputs = options.relu.then(|| out.clone());
                prepared.finish((input, weight, outputs, options), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn conv_pool_forward(
        feature_maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: Conv2d,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>) {
        let nodes = [feature_maps.node(), weight.node(), bias.node()];
        let prepared = ConvPool.prepare::<C>(nodes).compute_bound().stateful();
        let (input, weight) = (feature_maps.into_primitive(), weight.into_primitive());
        let (maxima, argmax) =
            B::conv_pool_forward(input.clone(), weight.clone(), bias.into_primitive(), options, pool);
        let maxima = match prepared {
            OpsKind::Tracked(prepared) => {
                let kept = options.relu.then(|| maxima.clone());
                prepared.finish((input, weight, argmax.clone(), kept, options, pool), maxima)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(maxima),
        };
        (maxima, argmax)
    }
}
