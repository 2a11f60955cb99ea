//! The fully connected layer on GPU backends: CubeCL's product, then the last steps in one launch.

use burn::tensor::Tensor;

use crate::config::Finish;
use crate::gpu::finish::finish_features;

/// [`linear`](crate::linear).
pub(super) fn linear(features: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, finish: Finish) -> Tensor<2> {
    finish_features(features.matmul(weight), bias, &finish)
}
