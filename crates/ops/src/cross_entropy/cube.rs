//! The loss in CubeCL: one launch forward, one backward.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use crate::gpu::rows::Rows;

/// The operation.
#[backend_extension(Autodiff, Cube, Fusion)]
trait CrossEntropyKernels: Backend {
    #[fusion(meta = crate::gpu::shapes::loss)]
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self>;
}

/// Its gradient, for the backend below automatic differentiation.
#[backend_extension(Cube, Fusion)]
trait CrossEntropyGradients: Backend {
    #[fusion(dtype = logits, shape = logits)]
    fn cross_entropy_gradient(
        of_loss: FloatTensor<Self>,
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// [`cross_entropy`](crate::cross_entropy).
pub(super) fn cross_entropy(logits: Tensor<2>, targets: &[usize]) -> Tensor<1> {
    let classes: Vec<u32> = targets.iter().map(|&target| target as u32).collect();
    let data = TensorData::new(classes, [targets.len()]);
    let targets = Tensor::<1, Int>::from_data(data, (&logits.device().inner(), DType::U32));
    let (logits, targets) = (logits.into_dispatch(), targets.into_dispatch());
    Tensor::from_dispatch(<Dispatch as CrossEntropyKernels>::cross_entropy(logits, targets))
}

/// The units that share a row.
const WIDE: usize = 32;
/// The rows that a cube has at once.
const TALL: usize = 8;

/// Combines the values of a row's units, and gives the result to each.
#[cube]
fn combined(shared: &mut Shared<[f32]>, value: f32, #[comptime] largest: bool) -> f32 {
    let (at, first) = (UNIT_POS as usize, UNIT_POS_Y as usize * WIDE);
    shared[at] = value;
    sync_cube();
    let mut result = shared[first];
    for unit in 1..WIDE {
        let other = shared[first + unit];
        if comptime!(largest) {
            if other > result {
                result = other;
            }
        } else {
            result += other;
        }
    }
    sync_cube();
    result
}

/// The largest logit of a row, and the sum of the exponentials of all below it.
#[cube]
fn exponentials(logits: &[f32], row: usize, classes: usize, shared: &mut Shared<[f32]>) -> (f32, f32) {
    let lane = UNIT_POS_X as usize;
    let mut largest = logits[row];
    let mut at = lane;
    while at < classes {
        if logits[row + at] > largest {
            largest = logits[row + at];
        }
        at += WIDE;
    }
    let largest = combined(shared, largest, true);
    let mut sum = 0.0f32;
    let mut at = lane;
    while at < classes {
        sum += f32::exp(logits[row + at] - largest);
        at += WIDE;
    }
    (largest, combined(shared, sum, false))
}

/// One cube goes through all rows, so that nothing is left to add up.
#[cube(launch)]
fn loss(logits: &[f32], targets: &[u32], out: &mut [f32], classes: usize, pitch: usize) {
    let mut shared = Shared::<[f32]>::new_slice(WIDE * TALL);
    let rows = targets.len();
    let mut total = 0.0f32;
    for round in 0..rows.div_ceil(TALL) {
        let own = round * TALL + UNIT_POS_Y as usize;
        // Units without a row of their own go along with the last.
        let row = select(own < rows, own, rows - 1);
        let (largest, sum) = exponentials(logits, row * pitch, classes, &mut shared);
        if own < rows {
            total += f32::ln(sum) - (logits[row * pitch + targets[row] as usize] - largest);
        }
    }
    shared[UNIT_POS as usize] = total;
    sync_cube();
    if UNIT_POS == 0 {
        let mut of_all = 0.0f32;
        for at in 0..TALL {
            of_all += shared[at * WIDE];
        }
        out[0] = of_all / f32::cast_from(rows);
    }
}

#[cube(launch)]
fn loss_gradient(
    of_loss: &[f32],
    logits: &[f32],
    targets: &[u32],
    out: &mut [f32],
    classes: usize,
    pitch: usize,
) {
    let mut shared = Shared::<[f32]>::new_slice(WIDE * TALL);
    let rows = targets.len();
    let own = CUBE_POS_X as usize * TALL + UNIT_POS_Y as usize;
    let row = select(own < rows, own, rows - 1);
    let (largest, sum) = exponentials(logits, row * pitch, classes, &mut shared);
    if own < rows {
        let factor = of_loss[0] / f32::cast_from(rows);
        let mut at = UNIT_POS_X as usize;
        while at < classes {
            let mut share = f32::exp(logits[row * pitch + at] - largest) / sum;
            if at == targets[row] as usize {
                share -= 1.0f32;
            }
            out[row * classes + at] = share * factor;
            at += WIDE;
        }
    }
}

impl CrossEntropyKernels for CubeBackend {
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        let logits = Rows::of(logits);
        let out = logits.empty([1]);
        loss::launch(
            &out.client,
            CubeCount::Static(1, 1, 1),
            CubeDim::new_2d(WIDE as u32, TALL as u32),
            logits.tensor.clone().into_buffer_arg(),
            into_contiguous(targets).into_buffer_arg(),
            out.clone().into_buffer_arg(),
            logits.columns(),
            logits.pitch,
        );
        out
    }
}

impl CrossEntropyGradients for CubeBackend {
    fn cross_entropy_gradient(
        of_loss: FloatTensor<Self>,
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let logits = Rows::of(logits);
        let out = logits.empty(logits.tensor.shape());
        loss_gradient::launch(
            &out.client,
            CubeCount::Static(logits.count().div_ceil(TALL) as u32, 1, 1),
            CubeDim::new_2d(WIDE as u32, TALL as u32),
            into_contiguous(of_loss).into_buffer_arg(),
            logits.tensor.clone().into_buffer_arg(),
            into_contiguous(targets).into_buffer_arg(),
            out.clone().into_buffer_arg(),
            logits.columns(),
            logits.pitch,
        );
        out
    }
}

#[derive(Debug)]
struct CrossEntropy;

impl<B: CrossEntropyGradients> Backward<B, 1> for CrossEntropy {
    type State = (FloatTensor<B>, IntTensor<B>);

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
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        let prepared = CrossEntropy.prepare::<C>([logits.node()]).compute_bound().stateful();
        let logits = logits.into_primitive();
        let loss = B::cross_entropy(logits.clone(), targets.clone());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((logits, targets), loss),
            OpsKind::UnTracked(prepared) => prepared.finish(loss),
        }
    }
}
