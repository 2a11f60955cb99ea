//! Common parts of the kernels for Flex, the backend that runs on the processor.
//!
//! The kernels themselves are in the folders of their operations.

pub(crate) mod matmul;
pub(crate) mod par_fill;
pub(crate) mod product;
pub(crate) mod rectify;
pub(crate) mod registers;
pub(crate) mod scratch;
pub(crate) mod sweep;
pub(crate) mod transpose;

use burn::backend::TensorMetadata;
use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType};

/// With fewer images than this, threads share the work by planes or rows, which separates fused operations.
pub(crate) const MANY_IMAGES: usize = 8;

/// Returns a tensor with contiguous values, whatever its view of the storage.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.layout().is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// Returns a tensor that covers all of its storage in order, so that the storage can be written to. It is
/// copied only if it is a view or someone else also holds it.
pub(crate) fn owned(tensor: FlexTensor) -> FlexTensor {
    if tensor.layout().is_contiguous() && tensor.bytes().len() == 4 * tensor.layout().num_elements() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// Returns the values of a contiguous tensor of f32.
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous tensor of f32")
}

/// Makes a tensor of this shape.
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}

/// Makes a tensor of the shape of `like`.
pub(crate) fn elementwise(values: Vec<f32>, like: &FlexTensor) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(like.shape()), DType::F32)
}

/// Makes tensors of the maxima of windows and of their positions in the window.
pub(crate) fn with_argmax(maxima: Vec<f32>, argmax: Vec<u8>, shape: [usize; 4]) -> (FlexTensor, FlexTensor) {
    let layout = Layout::contiguous(shape.into());
    (tensor(maxima, shape), FlexTensor::new(Bytes::from_elems(argmax), layout, DType::U8))
}

/// Returns the positions in a tensor that [`with_argmax`] made.
pub(crate) fn positions(argmax: &FlexTensor) -> &[u8] {
    argmax.as_slice().expect("the positions as they were made")
}
