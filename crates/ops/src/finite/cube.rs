//! The check in CubeCL, in one launch.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchTensor, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::gpu::rows::Rows;
use crate::gpu::tensors::{Parts, Tensors, of_a_launch};

/// The operation. It has no gradient, so automatic differentiation does not implement it.
#[backend_extension(Cube, Fusion)]
trait FiniteKernels: Backend {
    /// Returns one of the values that are not finite, or zero.
    #[fusion(meta = |tensors: &Vec<TensorSpec>| TensorSpec::new(Shape::from([1]), tensors[0].dtype))]
    fn value_not_finite(#[extension_type] tensors: Tensors<Self>) -> FloatTensor<Self>;
}

/// Returns one of the values that are not finite, or zero. The tensors are on one device.
pub(super) fn not_finite(tensors: Vec<DispatchTensor>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as FiniteKernels>::value_not_finite(Tensors(tensors)))
}

/// The cubes from `first` on have its values, one a unit.
#[derive(CubeType, CubeLaunch)]
struct Values {
    values: Box<[f32]>,
    first: usize,
}

#[cube(launch)]
fn check(tensors: &Sequence<Values>, found: &mut [f32]) {
    #[unroll]
    for number in 0..tensors.len() {
        let tensor = tensors.index(number);
        if CUBE_POS >= tensor.first {
            let at = (CUBE_POS - tensor.first) * CUBE_DIM as usize + UNIT_POS as usize;
            if at < tensor.values.len() {
                let value = tensor.values[at];
                // Which unit is the last to write makes no difference.
                if f32::is_nan(value) || f32::is_inf(value) {
                    found[0] = value;
                }
            }
        }
    }
}

impl FiniteKernels for CubeBackend {
    fn value_not_finite(tensors: Tensors<Self>) -> FloatTensor<Self> {
        let found = Self::float_from_data(TensorData::from([0.0f32]), &tensors.0[0].device);
        let filled: Vec<CubeTensor> =
            tensors.0.into_iter().filter(|tensor| tensor.shape().num_elements() > 0).map(in_order).collect();
        for tensors in filled.chunks(of_a_launch(&found, 1)) {
            let sizes = tensors.iter().map(|tensor| tensor.shape().num_elements());
            let Parts { firsts, count, dim } = Parts::of(&found.client, sizes);
            let values = tensors.iter().zip(firsts);
            let values =
                values.map(|(tensor, first)| ValuesLaunch::new(tensor.clone().into_buffer_arg(), first));
            check::launch(&found.client, count, dim, values.collect(), found.clone().into_buffer_arg());
        }
        found
    }
}

/// Returns a tensor without gaps, whose values may have another order.
fn in_order(tensor: CubeTensor) -> CubeTensor {
    match tensor.shape().num_dims() {
        4 if !tensor.is_contiguous() => into_contiguous(Rows::of(tensor).tensor),
        _ => into_contiguous(tensor),
    }
}
