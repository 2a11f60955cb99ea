//! Local response normalization on backends with kernels for it: one pass forward, one backward.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Tensor};

use crate::config::Lrn;

/// The operation and its gradient.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(feature = "gpu")
)]
pub(crate) trait Normalize: Backend {
    #[fusion(dtype = maps, shape = maps)]
    fn normalize(maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self>;

    /// Called only by a backward pass, on the backend below automatic differentiation.
    #[fusion(dtype = maps, shape = maps)]
    fn normalize_gradient(
        gradient: FloatTensor<Self>,
        maps: FloatTensor<Self>,
        lrn: Lrn,
    ) -> FloatTensor<Self> {
        let _ = (gradient, maps, lrn);
        unimplemented!("a gradient is not differentiated again")
    }
}

/// The longest window that GPU kernels support. They unroll the window, twice in the gradient. A driver takes
/// minutes to compile kernels of tens of thousands of terms, or crashes.
const UNROLLED: usize = 16;

/// Returns whether a kernel exists for this tensor and window.
pub(crate) fn takes(maps: &Tensor<4>, lrn: &Lrn) -> bool {
    #[cfg(feature = "flex")]
    if crate::backend::on_flex(maps) {
        return true;
    }
    maps.dtype() == DType::F32 && lrn.size <= UNROLLED && crate::backend::has_kernels(&maps.device())
}

/// [`lrn`](crate::lrn), for a tensor that [`takes`] accepts.
pub(crate) fn lrn(maps: Tensor<4>, lrn: &Lrn) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Normalize>::normalize(maps.into_dispatch(), *lrn))
}

#[derive(Debug)]
struct Gradient;

impl<B: Normalize> Backward<B, 1> for Gradient {
    type State = (FloatTensor<B>, Lrn);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_maps], (maps, lrn)) = (ops.parents, ops.state);
        if let Some(node) = to_maps {
            gradients.register::<B>(node.id, B::normalize_gradient(gradient, maps, lrn));
        }
    }
}

impl<B: Normalize, C: CheckpointStrategy> Normalize for Autodiff<B, C> {
    fn normalize(maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self> {
        let prepared = Gradient.prepare::<C>([maps.node()]).compute_bound().stateful();
        let maps = maps.into_primitive();
        let out = B::normalize(maps.clone(), lrn);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((maps, lrn), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
