//! The fully connected layer under automatic differentiation.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::{LinearGradients, LinearKernels};
use crate::config::Finish;

#[derive(Debug)]
struct Linear;

impl<B: LinearGradients> Backward<B, 3> for Linear {
    /// The features, the weights and, where the ReLU needs them, the outputs.
    type State = (FloatTensor<B>, FloatTensor<B>, Option<FloatTensor<B>>, Finish);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [to_features, to_weight, to_bias] = ops.parents;
        let (features, weight, outputs, finish) = ops.state;
        let mut gradient = gradients.consume::<B>(&ops.node);
        if let Some(outputs) = outputs {
            gradient = B::rectify_gradient(gradient, outputs, finish.gain());
        }
        if let Some(node) = to_bias {
            gradients.register::<B>(node.id, B::linear_gradient_bias(gradient.clone()));
        }
        if let Some(node) = to_features {
            gradients.register::<B>(node.id, B::linear_gradient_features(gradient.clone(), weight));
        }
        if let Some(node) = to_weight {
            gradients.register::<B>(node.id, B::linear_gradient_weight(gradient, features));
        }
    }
}

impl<B: LinearKernels + LinearGradients, C: CheckpointStrategy> LinearKernels for Autodiff<B, C> {
    fn linear_forward(
        features: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        finish: Finish,
    ) -> FloatTensor<Self> {
        let nodes = [features.node(), weight.node(), bias.node()];
        let prepared = Linear.prepare::<C>(nodes).compute_bound().stateful();
        let (features, weight) = (features.into_primitive(), weight.into_primitive());
        let out = B::linear_forward(features.clone(), weight.clone(), bias.into_primitive(), finish.clone());
        match prepared {
            OpsKind::Tracked(prepared) => {
                let outputs = (!matches!(finish, Finish::Plain)).then(|| out.clone());
                prepared.finish((features, weight, outputs, finish), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
