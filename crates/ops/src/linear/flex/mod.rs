//! The fully connected layer on Flex.

mod autodiff;
mod kernel;
#[cfg(test)]
mod tests;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use self::kernel::Shape;
use crate::config::Finish;
use crate::flex::rectify::RectifyGradient;
use crate::flex::{contiguous, tensor, values};

/// The operation.
#[backend_extension(Flex, Autodiff)]
trait LinearKernels: Backend {
    fn linear_forward(
        features: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        finish: Finish,
    ) -> FloatTensor<Self>;
}

/// Its gradients, for the backend below automatic differentiation.
trait LinearGradients: RectifyGradient {
    fn linear_gradient_features(gradient: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    fn linear_gradient_weight(gradient: FloatTensor<Self>, features: FloatTensor<Self>) -> FloatTensor<Self>;

    fn linear_gradient_bias(gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// [`linear`](crate::linear).
pub(super) fn linear(features: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, finish: Finish) -> Tensor<2> {
    let (features, weight, bias) = (features.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as LinearKernels>::linear_forward(features, weight, bias, finish))
}

impl LinearKernels for Flex {
    fn linear_forward(
        features: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        finish: Finish,
    ) -> FlexTensor {
        let (features, weight, bias) = (contiguous(features), contiguous(weight), contiguous(bias));
        let ([batch, inputs], [rows, outputs]) = (features.shape().dims(), weight.shape().dims());
        assert_eq!(inputs, rows, "the units are not those that the weights are for");
        let shape = Shape { batch, inputs, outputs };
        let out = kernel::forward(values(&features), values(&weight), values(&bias), &finish, shape);
        tensor(out, [batch, outputs])
    }
}

impl LinearGradients for Flex {
    fn linear_gradient_features(gradient: FlexTensor, weight: FlexTensor) -> FlexTensor {
        let (gradient, weight) = (contiguous(gradient), contiguous(weight));
        let ([batch, outputs], [inputs, _]) = (gradient.shape().dims(), weight.shape().dims());
        let shape = Shape { batch, inputs, outputs };
        tensor(kernel::feature_gradient(values(&gradient), values(&weight), shape), [batch, inputs])
    }

    fn linear_gradient_weight(gradient: FlexTensor, features: FlexTensor) -> FlexTensor {
        let (gradient, features) = (contiguous(gradient), contiguous(features));
        let ([batch, outputs], [_, inputs]) = (gradient.shape().dims(), features.shape().dims());
        let shape = Shape { batch, inputs, outputs };
        tensor(kernel::weight_gradient(values(&gradient), values(&features), shape), [inputs, outputs])
    }

    fn linear_gradient_bias(gradient: FlexTensor) -> FlexTensor {
        let gradient = contiguous(gradient);
        let [_, outputs] = gradient.shape().dims();
        tensor(kernel::bias_gradient(values(&gradient), outputs), [outputs])
    }
}
