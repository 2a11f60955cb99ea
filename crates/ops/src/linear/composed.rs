//! The fully connected layer in Burn's own operations.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module;

use crate::config::Finish;

/// [`linear`](crate::linear).
pub fn linear(features: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, finish: Finish) -> Tensor<2> {
    finished(module::linear(features, weight, Some(bias)), finish)
}

/// Applies the steps that follow the sum.
pub(crate) fn finished(features: Tensor<2>, finish: Finish) -> Tensor<2> {
    match finish {
        Finish::Plain => features,
        Finish::Relu => relu(features),
        Finish::ReluDropout(mask) => {
            let factors = mask.to_tensor(&features.device());
            relu(features) * factors
        }
    }
}
