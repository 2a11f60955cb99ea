//! The loss on Flex, with its gradient, in f64: sums in the order of the classes and of the samples.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::flex::par_fill::filled;
use crate::flex::{contiguous, elementwise, owned, tensor, values};
use crate::math::{exp, ln};

/// The operation.
#[backend_extension(Flex, Autodiff)]
trait CrossEntropyKernels: Backend {
    fn cross_entropy_forward(logits: FloatTensor<Self>, targets: Vec<usize>) -> FloatTensor<Self>;
}

/// Its gradient, for the backend below automatic differentiation.
trait CrossEntropyGradients: Backend {
    /// Returns the gradient of the logits, from that of the loss.
    fn cross_entropy_gradient(
        gradient: FloatTensor<Self>,
        logits: FloatTensor<Self>,
        targets: Vec<usize>,
    ) -> FloatTensor<Self>;
}

/// [`cross_entropy`](crate::cross_entropy).
pub(super) fn cross_entropy(logits: Tensor<2>, targets: &[usize]) -> Tensor<1> {
    let logits = logits.into_dispatch();
    let loss = <Dispatch as CrossEntropyKernels>::cross_entropy_forward(logits, targets.to_vec());
    Tensor::from_dispatch(loss)
}

/// The exponentials of a row relative to its largest logit, and that logit.
fn exponentials(logits: &[f32]) -> (impl Iterator<Item = f64>, f32) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    (logits.iter().map(move |logit| exp(f64::from(*logit) - f64::from(largest))), largest)
}

/// The negative log-probability of the target.
fn loss(logits: &[f32], target: usize) -> f64 {
    let (exponentials, largest) = exponentials(logits);
    ln(exponentials.sum()) - (f64::from(logits[target]) - f64::from(largest))
}

/// Writes the gradient of [`loss`], times `factor`.
fn gradient(logits: &[f32], target: usize, factor: f64, out: &mut [f32]) {
    let (exponentials, _) = exponentials(logits);
    let exponentials: Vec<f64> = exponentials.collect();
    let sum: f64 = exponentials.iter().sum();
    for (class, (out, exponential)) in out.iter_mut().zip(exponentials).enumerate() {
        let wanted = if class == target { 1.0 } else { 0.0 };
        *out = ((exponential / sum - wanted) * factor) as f32;
    }
}

impl CrossEntropyKernels for Flex {
    fn cross_entropy_forward(logits: FlexTensor, targets: Vec<usize>) -> FlexTensor {
        let logits = contiguous(logits);
        let [batch, classes] = logits.shape().dims();
        let rows = values(&logits).par_chunks(classes.max(1)).zip(&targets);
        let losses: Vec<f64> = rows.map(|(logits, target)| loss(logits, *target)).collect();
        tensor(vec![(losses.iter().sum::<f64>() / batch as f64) as f32], [1])
    }
}

impl CrossEntropyGradients for Flex {
    fn cross_entropy_gradient(of_loss: FlexTensor, logits: FlexTensor, targets: Vec<usize>) -> FlexTensor {
        let (of_loss, logits) = (owned(of_loss), contiguous(logits));
        let [batch, classes] = logits.shape().dims();
        let factor = f64::from(values(&of_loss)[0]) / batch as f64;
        let rows = values(&logits).par_chunks(classes.max(1)).zip(&targets);
        let out = filled(batch * classes, classes, rows, |(logits, target), out| {
            gradient(logits, *target, factor, out);
        });
        elementwise(out, &logits)
    }
}

#[derive(Debug)]
struct CrossEntropy;

impl<B: CrossEntropyGradients> Backward<B, 1> for CrossEntropy {
    type State = (FloatTensor<B>, Vec<usize>);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let ([Some(node)], (logits, targets)) = (ops.parents, ops.state) {
            gradients.register::<B>(node.id, B::cross_entropy_gradient(gradient, logits, targets));
        }
    }
}

impl<B: CrossEntropyKernels + CrossEntropyGradients, C: CheckpointStrategy> CrossEntropyKernels
    for Autodiff<B, C>
{
    fn cross_entropy_forward(logits: FloatTensor<Self>, targets: Vec<usize>) -> FloatTensor<Self> {
        let prepared = CrossEntropy.prepare::<C>([logits.node()]).compute_bound().stateful();
        let logits = logits.into_primitive();
        let loss = B::cross_entropy_forward(logits.clone(), targets.clone());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((logits, targets), loss),
            OpsKind::UnTracked(prepared) => prepared.finish(loss),
        }
    }
}
