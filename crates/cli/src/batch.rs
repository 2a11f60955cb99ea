//! Conversion of images to tensors and of tensors to numbers.

use burn::tensor::{Device, TensorData};

/// The number of images in one forward pass, times their views.
pub(crate) const BATCH: usize = 32;

/// Returns the number of threads that decode photographs. Each holds up to two batches.
pub(crate) fn workers() -> usize {
    rayon::current_num_threads().min(8)
}

/// Creates a batch `[count, channels, side, side]`.
pub(crate) fn batch(
    inputs: Vec<f32>,
    [count, channels, side]: [usize; 3],
    device: &Device,
) -> burn::tensor::Tensor<4> {
    burn::tensor::Tensor::from_data(TensorData::new(inputs, [count, channels, side, side]), device)
}

/// Returns the numbers of a tensor, row by row.
pub(crate) fn values<const D: usize>(tensor: burn::tensor::Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().expect("converted to f32")
}
