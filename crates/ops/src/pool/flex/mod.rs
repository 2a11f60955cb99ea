//! Pooling on Flex.

mod autodiff;
mod average;
pub(crate) mod lines;
pub(crate) mod max;
#[cfg(test)]
mod tests;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use self::lines::Pooling;
use super::extension::{MaxPoolGradients, MaxPoolKernels};
use crate::config::Pool;
use crate::flex::{contiguous, positions, tensor, values, with_argmax};

/// The operation.
#[backend_extension(Flex, Autodiff)]
trait AvgPoolKernels: Backend {
    fn avg_pool_forward(feature_maps: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self>;
}

/// Its gradient for feature maps of shape `input`, for the backend below automatic differentiation.
trait AvgPoolGradients: Backend {
    fn avg_pool_gradient(gradient: FloatTensor<Self>, input: [usize; 4], pool: Pool) -> FloatTensor<Self>;
}

/// [`avg_pool2d`](crate::avg_pool2d).
pub(super) fn avg_pool2d(feature_maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as AvgPoolKernels>::avg_pool_forward(feature_maps.into_dispatch(), *pool))
}

impl MaxPoolKernels for Flex {
    fn max_pool_forward(feature_maps: FlexTensor, pool: Pool) -> (FlexTensor, FlexTensor) {
        let input = contiguous(feature_maps);
        let [batch, channels, height, width] = input.shape().dims();
        let shape = Pooling::new([height, width], pool);
        let (maxima, argmax) = max::maxima(values(&input), &shape);
        with_argmax(maxima, argmax, [batch, channels, shape.output[0], shape.output[1]])
    }
}

impl AvgPoolKernels for Flex {
    fn avg_pool_forward(feature_maps: FlexTensor, pool: Pool) -> FlexTensor {
        let input = contiguous(feature_maps);
        let [batch, channels, height, width] = input.shape().dims();
        let shape = Pooling::new([height, width], pool);
        let out = average::averages(values(&input), &shape);
        tensor(out, [batch, channels, shape.output[0], shape.output[1]])
    }
}

impl MaxPoolGradients for Flex {
    fn max_pool_gradient(
        gradient: FlexTensor,
        argmax: FlexTensor,
        input: [usize; 4],
        pool: Pool,
    ) -> FlexTensor {
        let gradient = contiguous(gradient);
        let shape = Pooling::new([input[2], input[3]], pool);
        tensor(max::maxima_gradient(values(&gradient), positions(&argmax), &shape), input)
    }
}

impl AvgPoolGradients for Flex {
    fn avg_pool_gradient(gradient: FlexTensor, input: [usize; 4], pool: Pool) -> FlexTensor {
        let gradient = contiguous(gradient);
        let shape = Pooling::new([input[2], input[3]], pool);
        tensor(average::averages_gradient(values(&gradient), &shape), input)
    }
}
