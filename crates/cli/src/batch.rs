//! Images to a tensor, and a tensor to numbers.

use burn::tensor::{Device, TensorData};

/// Images that go through the network at once, times their views.
pub(crate) const BATCH: usize = 32;

/// A batch `[count, channels, side, side]`.
pub(crate) fn batch(
    inputs: Vec<f32>,
    [count, channels, side]: [usize; 3],
    device: &Device,
) -> burn::tensor::Tensor<4> {
    burn::tensor::Tensor::from_data(TensorData::new(inputs, [count, channels, side, side]), device)
}

/// The numbers of a tensor, row after row.
pub(crate) fn values(tensor: burn::tensor::Tensor<2>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().expect("converted to f32")
}
