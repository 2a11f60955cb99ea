//! Tensors as the kernels of GPU backends read and write them: in rows of adjacent values.

use burn::backend::TensorMetadata;
use burn::tensor::Shape;
use burn_cubecl::cubecl::calculate_cube_count_elemwise;
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::ops::{permute_nchw_to_nhwc, permute_nhwc_to_nchw};
use burn_cubecl::tensor::CubeTensor;

/// Feature maps as rows, one a pixel with the values of all channels, `[batch, height, width, channels]`; or features as rows, one
/// a sample.
///
/// CubeCL's convolutions and our kernels leave feature maps so, and nothing is copied between them.
#[derive(Clone)]
pub(crate) struct Rows {
    pub(crate) tensor: CubeTensor,
    /// The number of values from the start of one row to the next.
    pub(crate) pitch: usize,
}

impl Rows {
    /// Returns the rows of feature maps `[batch, channels, height, width]` or of features `[batch, features]`. The values are
    /// copied if they lie otherwise.
    pub(crate) fn of(tensor: CubeTensor) -> Self {
        let tensor = if tensor.shape().num_dims() == 4 { permute_nchw_to_nhwc(tensor) } else { tensor };
        let pitch = pitch(&tensor);
        match pitch {
            Some(pitch) => Self { tensor, pitch },
            None => Self::of_contiguous(into_contiguous(tensor)),
        }
    }

    /// Returns the rows of a tensor whose values lie in order.
    pub(crate) fn of_contiguous(tensor: CubeTensor) -> Self {
        Self { pitch: columns(&tensor), tensor }
    }

    /// Returns the number of values in a row.
    pub(crate) fn columns(&self) -> usize {
        columns(&self.tensor)
    }

    /// Returns the number of rows.
    pub(crate) fn count(&self) -> usize {
        self.len().checked_div(self.columns()).unwrap_or_default()
    }

    /// Returns the number of values.
    pub(crate) fn len(&self) -> usize {
        self.tensor.shape().num_elements()
    }

    /// Returns the shape with the channels last.
    pub(crate) fn dims<const D: usize>(&self) -> [usize; D] {
        self.tensor.shape().dims()
    }

    /// Makes a tensor of this shape, with the channels last, on the same device. Its values are not set.
    pub(crate) fn empty(&self, shape: impl Into<Shape>) -> CubeTensor {
        let (client, device) = (self.tensor.client.clone(), self.tensor.device.clone());
        empty_device_contiguous_dtype(client, device, shape.into(), self.tensor.dtype)
    }

    /// Returns the size of a launch with a unit for each of `count` values.
    pub(crate) fn launch(&self, count: usize) -> (CubeCount, CubeDim) {
        let dim = CubeDim::new(&self.tensor.client, count);
        (calculate_cube_count_elemwise(&self.tensor.client, count, dim), dim)
    }
}

/// Returns feature maps with the channels last as `[batch, channels, height, width]`, and features as they are.
pub(crate) fn channels_first(tensor: CubeTensor) -> CubeTensor {
    if tensor.shape().num_dims() == 4 { permute_nhwc_to_nchw(tensor) } else { tensor }
}

fn columns(tensor: &CubeTensor) -> usize {
    tensor.shape().iter().next_back().copied().unwrap_or_default()
}

/// Returns the distance between rows, if the rows follow each other at one distance.
fn pitch(tensor: &CubeTensor) -> Option<usize> {
    let (shape, strides) = (tensor.meta.shape(), tensor.meta.strides());
    let last = shape.num_dims() - 1;
    let pitch = strides[last - 1];
    let mut expected = pitch;
    for at in (0..last).rev() {
        if strides[at] != expected {
            return None;
        }
        expected *= shape[at];
    }
    (strides[last] == 1 && pitch >= shape[last]).then_some(pitch)
}
