//! Products of matrices in f32 on GPU backends, by kernels without tensor cores, which would take TF32.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubek::matmul::definition::MatmulElems;
use cubek::matmul::launch::launch_ref;
use cubek::matmul::multi_level::Strategy;
use cubek::std::InputBinding;

/// `[matrices, rows, inner] · [matrices, inner, columns]`.
#[backend_extension(Autodiff, Cube, Fusion)]
trait ProductKernels: Backend {
    #[fusion(meta = shape)]
    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn shape(left: &TensorSpec, right: &TensorSpec) -> TensorSpec {
    TensorSpec::new([left.shape[0], left.shape[1], right.shape[2]].into(), left.dtype)
}

/// `[matrices, rows, inner] · [matrices, inner, columns]`, on a GPU.
pub(super) fn product(left: Tensor<3>, right: Tensor<3>) -> Tensor<3> {
    let (left, right) = (left.into_dispatch(), right.into_dispatch());
    Tensor::from_dispatch(<Dispatch as ProductKernels>::product(left, right))
}

impl ProductKernels for CubeBackend {
    fn product(left: CubeTensor, right: CubeTensor) -> CubeTensor {
        let ([matrices, rows, inner], [_, same, columns]) = (left.shape().dims(), right.shape().dims());
        assert_eq!(inner, same, "the matrices' inner sides differ");
        let client = left.client.clone();
        let shape = [matrices, rows, columns].into();
        let out = empty_device_contiguous_dtype(client.clone(), left.device.clone(), shape, left.dtype);
        if matrices * rows * columns > 0 {
            let number = f32::elem_type_native();
            let launch = |strategy: Strategy| {
                let [left, right] =
                    [&left, &right].map(|side| InputBinding::new(side.clone().binding(), number));
                let mut numbers = MatmulElems::from_single_dtype(number);
                launch_ref(&strategy.into(), &client, left, right, out.clone().binding(), &mut numbers)
            };
            let launched = launch(Strategy::SimpleUnit(Default::default()));
            launched.or_else(|_| launch(Strategy::Naive)).expect("the naive product takes every shape");
        }
        out
    }
}

/// The least number of terms in a part of the right matrix's gradient, whose terms are images' pixels.
const TERMS: usize = 1024;

/// Returns the gradient of the right matrices. Where it is a sum of many terms, parts of it are computed at the same time and then
/// added up: the result may be too small for all units of a GPU.
fn right_gradient<B: ProductKernels>(left: FloatTensor<B>, gradient: FloatTensor<B>) -> FloatTensor<B> {
    let ([matrices, rows, inner], [_, _, columns]) = (left.shape().dims(), gradient.shape().dims());
    let parts = (1..=rows / TERMS).rev().find(|parts| rows % parts == 0).unwrap_or(1);
    let cut = |side: FloatTensor<B>, columns: usize| {
        B::float_reshape(side, [matrices * parts, rows / parts, columns].into())
    };
    let left = B::float_swap_dims(cut(left, inner), 1, 2);
    let of_parts = B::product(left, cut(gradient, columns));
    if parts == 1 {
        return of_parts;
    }
    let of_parts = B::float_reshape(of_parts, [matrices, parts, inner, columns].into());
    B::float_reshape(B::float_sum_dim(of_parts, 1), [matrices, inner, columns].into())
}

#[derive(Debug)]
struct Product;

impl<B: ProductKernels> Backward<B, 2> for Product {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_left, to_right], (left, right)) = (ops.parents, ops.state);
        if let Some(node) = to_left {
            let of_left = B::product(gradient.clone(), B::float_swap_dims(right, 1, 2));
            gradients.register::<B>(node.id, of_left);
        }
        if let Some(node) = to_right {
            gradients.register::<B>(node.id, right_gradient::<B>(left, gradient));
        }
    }
}

impl<B: ProductKernels, C: CheckpointStrategy> ProductKernels for Autodiff<B, C> {
    fn product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = Product.prepare::<C>([left.node(), right.node()]).compute_bound().stateful();
        let (left, right) = (left.into_primitive(), right.into_primitive());
        let out = B::product(left.clone(), right.clone());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((left, right), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
