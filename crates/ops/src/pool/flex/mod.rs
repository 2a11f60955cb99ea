//! Pooling on Flex.

mod autodiff;
mod average;
pub(crate) mod lines;
pub(crate) mod max;
#[cfg(test)]
mod tests;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use self::lines::Pooling;
use self::max::fits_byte;
use crate::config::Pool;
use crate::flex::{contiguous, positions, tensor, values, with_argmax};

/// The operations.
#[backend_extension(Flex, Autodiff)]
trait PoolKernels: Backend {
    /// Returns the maxima and their positions.
    fn max_pool_forward(feature_maps: FloatTensor<Self>, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>);

    fn avg_pool_forward(feature_maps: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self>;
}

/// Their gradients for feature maps of shape `input`, for the backend below automatic differentiation.
trait PoolGradients: Backend {
    fn max_pool_gradient(
        gradient: FloatTensor<Self>,
        argmax: IntTensor<Self>,
        input: [usize; 4],
        pool: Pool,
    ) -> FloatTensor<Self>;

    fn avg_pool_gradient(gradient: FloatTensor<Self>, input: [usize; 4], pool: Pool) -> FloatTensor<Self>;
}

/// [`max_pool2d`](crate::max_pool2d).
pub(super) fn max_pool2d(feature_maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    if !fits_byte(pool) {
        return super::composed::max_pool2d(feature_maps, pool);
    }
    let (maxima, _) = <Dispatch as PoolKernels>::max_pool_forward(feature_maps.into_dispatch(), *pool);
    Tensor::from_dispatch(maxima)
}

/// [`avg_pool2d`](crate::avg_pool2d).
pub(super) fn avg_pool2d(feature_maps: Tensor<4>, pool: &Pool) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as PoolKernels>::avg_pool_forward(feature_maps.into_dispatch(), *pool))
}

impl PoolKernels for Flex {
    fn max_pool_forward(feature_maps: FlexTensor, pool: Pool) -> (FlexTensor, FlexTensor) {
        let input = contiguous(feature_maps);
        let [batch, channels, height, width] = input.shape().dims();
        let shape = Pooling::new([height, width], pool);
        let (maxima, argmax) = max::maxima(values(&input), &shape);
        with_argmax(maxima, argmax, [batch, channels, shape.output[0], shape.output[1]])
    }

    fn avg_pool_forward(feature_maps: FlexTensor, pool: Pool) -> FlexTensor {
        let input = contiguous(feature_maps);
        let [batch, channels, height, width] = input.shape().dims();
        let shape = Pooling::new([height, width], pool);
        let out = average::averages(values(&input), &shape);
        tensor(out, [batch, channels, shape.output[0], shape.output[1]])
    }
}

impl PoolGradients for Flex {
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

    fn avg_pool_gradient(gradient: FlexTensor, input: [usize; 4], pool: Pool) -> FlexTensor {
        let gradient = contiguous(gradient);
        let shape = Pooling::new([input[2], input[3]], pool);
        tensor(average::averages_gradient(values(&gradient), &shape), input)
    }
}
