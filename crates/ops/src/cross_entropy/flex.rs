//! The loss on Flex, with its gradient, in f64: sums in the order of the classes and of the samples.

use crate::threads::*;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::flex::par_fill::filled;
use crate::flex::{contiguous, elementwise, owned, tensor, values};
use crate::math::{exp, ln};

/// The wanted softmax of each row.
#[derive(Debug, Clone)]
enum Wanted {
    /// 1 for this class.
    Classes(Vec<usize>),
    /// A distribution, row by row.
    Distributions(Vec<f32>),
}

/// The part of [`Wanted`] for one row.
#[derive(Clone, Copy)]
enum Row<'a> {
    Class(usize),
    Distribution(&'a [f32]),
}

impl Wanted {
    fn row(&self, row: usize, classes: usize) -> Row<'_> {
        match self {
            Self::Classes(targets) => Row::Class(targets[row]),
            Self::Distributions(all) => Row::Distribution(&all[row * classes..(row + 1) * classes]),
        }
    }
}

impl Row<'_> {
    fn of_class(self, class: usize) -> f64 {
        match self {
            Self::Class(target) => {
                if class == target {
                    1.0
                } else {
                    0.0
                }
            }
            Self::Distribution(wanted) => f64::from(wanted[class]),
        }
    }
}

/// The operation.
#[backend_extension(Flex, Autodiff)]
trait CrossEntropyKernels: Backend {
    fn cross_entropy_forward(logits: FloatTensor<Self>, wanted: Wanted) -> FloatTensor<Self>;
}

/// Its gradient, for the backend below automatic differentiation.
trait CrossEntropyGradients: Backend {
    /// Returns the gradient of the logits, from that of the loss.
    fn cross_entropy_gradient(
        gradient: FloatTensor<Self>,
        logits: FloatTensor<Self>,
        wanted: Wanted,
    ) -> FloatTensor<Self>;
}

/// [`cross_entropy`](crate::cross_entropy).
pub(super) fn cross_entropy(logits: Tensor<2>, targets: &[usize]) -> Tensor<1> {
    apply(logits, Wanted::Classes(targets.to_vec()))
}

/// [`soft_cross_entropy`](crate::soft_cross_entropy).
pub(super) fn soft_cross_entropy(logits: Tensor<2>, wanted: &[f32]) -> Tensor<1> {
    apply(logits, Wanted::Distributions(wanted.to_vec()))
}

fn apply(logits: Tensor<2>, wanted: Wanted) -> Tensor<1> {
    let logits = logits.into_dispatch();
    Tensor::from_dispatch(<Dispatch as CrossEntropyKernels>::cross_entropy_forward(logits, wanted))
}

/// The exponentials of a row relative to its largest logit, and that logit.
fn exponentials(logits: &[f32]) -> (impl Iterator<Item = f64>, f32) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    (logits.iter().map(move |logit| exp(f64::from(*logit) - f64::from(largest))), largest)
}

/// The negative log-probability of what is wanted, in the mean of its distribution.
fn loss(logits: &[f32], wanted: Row) -> f64 {
    let (exponentials, largest) = exponentials(logits);
    let below = |logit: f32| f64::from(logit) - f64::from(largest);
    let of_wanted = match wanted {
        Row::Class(target) => below(logits[target]),
        Row::Distribution(wanted) => {
            logits.iter().zip(wanted).map(|(logit, share)| f64::from(*share) * below(*logit)).sum()
        }
    };
    ln(exponentials.sum()) - of_wanted
}

/// Writes the gradient of [`loss`], times `factor`.
fn gradient(logits: &[f32], wanted: Row, factor: f64, out: &mut [f32]) {
    let (exponentials, _) = exponentials(logits);
    let exponentials: Vec<f64> = exponentials.collect();
    let sum: f64 = exponentials.iter().sum();
    for (class, (out, exponential)) in out.iter_mut().zip(exponentials).enumerate() {
        *out = ((exponential / sum - wanted.of_class(class)) * factor) as f32;
    }
}

impl CrossEntropyKernels for Flex {
    fn cross_entropy_forward(logits: FlexTensor, wanted: Wanted) -> FlexTensor {
        let logits = contiguous(logits);
        let [batch, classes] = logits.shape().dims();
        let rows = values(&logits).par_chunks(classes.max(1)).enumerate();
        let losses: Vec<f64> = rows.map(|(row, logits)| loss(logits, wanted.row(row, classes))).collect();
        tensor(vec![(losses.iter().sum::<f64>() / batch as f64) as f32], [1])
    }
}

impl CrossEntropyGradients for Flex {
    fn cross_entropy_gradient(of_loss: FlexTensor, logits: FlexTensor, wanted: Wanted) -> FlexTensor {
        let (of_loss, logits) = (owned(of_loss), contiguous(logits));
        let [batch, classes] = logits.shape().dims();
        let factor = f64::from(values(&of_loss)[0]) / batch as f64;
        let rows = values(&logits).par_chunks(classes.max(1)).enumerate();
        let out = filled(batch * classes, classes, rows, |(row, logits), out| {
            gradient(logits, wanted.row(row, classes), factor, out);
        });
        elementwise(out, &logits)
    }
}

#[derive(Debug)]
struct CrossEntropy;

impl<B: CrossEntropyGradients> Backward<B, 1> for CrossEntropy {
    type State = (FloatTensor<B>, Wanted);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let ([Some(node)], (logits, wanted)) = (ops.parents, ops.state) {
            gradients.register::<B>(node.id, B::cross_entropy_gradient(gradient, logits, wanted));
        }
    }
}

impl<B: CrossEntropyKernels + CrossEntropyGradients, C: CheckpointStrategy> CrossEntropyKernels
    for Autodiff<B, C>
{
    fn cross_entropy_forward(logits: FloatTensor<Self>, wanted: Wanted) -> FloatTensor<Self> {
        let prepared = CrossEntropy.prepare::<C>([logits.node()]).compute_bound().stateful();
        let logits = logits.into_primitive();
        let loss = B::cross_entropy_forward(logits.clone(), wanted.clone());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((logits, wanted), loss),
            OpsKind::UnTracked(prepared) => prepared.finish(loss),
        }
    }
}
