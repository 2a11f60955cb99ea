//! Convolution on Flex.

mod autodiff;
mod buffers;
mod correlation;
mod direct;
mod geometry;
mod images;
mod kernel;
mod packing;
mod plan;
mod store;
#[cfg(test)]
mod tests;
mod tiling;
mod weight_gradient;
mod winograd;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use self::images::Images;
use crate::config::{Conv2d, Pool};
use crate::flex::MANY_IMAGES;
use crate::flex::rectify::RectifyGradient;
use crate::flex::{contiguous, positions, tensor, values, with_argmax};
use crate::pool::flex::lines::Pooling;
use crate::pool::flex::max::Scatter;

/// The operations.
#[backend_extension(Flex, Autodiff)]
trait ConvKernels: Backend {
    fn conv_forward(
        feature_maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: Conv2d,
    ) -> FloatTensor<Self>;

    /// Convolution, then max pooling. Returns the maxima and their positions.
    fn conv_pool_forward(
        feature_maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: Conv2d,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>);
}

/// Their gradients, for the backend below automatic differentiation.
trait ConvGradients: RectifyGradient {
    /// The gradient of feature maps of shape `input`.
    fn conv_gradient_input(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: [usize; 4],
        options: Conv2d,
    ) -> FloatTensor<Self>;

    /// The gradient of weights of shape `weight`.
    fn conv_gradient_weight(
        gradient: FloatTensor<Self>,
        feature_maps: FloatTensor<Self>,
        weight: [usize; 4],
        options: Conv2d,
    ) -> FloatTensor<Self>;

    fn conv_gradient_bias(gradient: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of feature maps of shape `input`, from the gradient of the maxima.
    fn conv_pool_gradient_input(
        gradient: FloatTensor<Self>,
        argmax: IntTensor<Self>,
        weight: FloatTensor<Self>,
        input: [usize; 4],
        options: Conv2d,
        pool: Pool,
    ) -> FloatTensor<Self>;

    /// The gradient of weights of shape `weight`, from the gradient of the maxima.
    fn conv_pool_gradient_weight(
        gradient: FloatTensor<Self>,
        argmax: IntTensor<Self>,
        feature_maps: FloatTensor<Self>,
        weight: [usize; 4],
        options: Conv2d,
        pool: Pool,
    ) -> FloatTensor<Self>;
}

/// [`conv2d`](crate::conv2d).
pub(super) fn conv2d(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: Conv2d,
) -> Tensor<4> {
    let (input, weight, bias) = (feature_maps.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as ConvKernels>::conv_forward(input, weight, bias, options))
}

/// [`conv_max_pool2d`](crate::conv_max_pool2d).
pub(super) fn conv_max_pool2d(
    feature_maps: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: Conv2d,
    pool: &Pool,
) -> Tensor<4> {
    if !pool.fits_byte() || feature_maps.dims()[0] < MANY_IMAGES {
        return crate::max_pool2d(conv2d(feature_maps, weight, bias, options), pool);
    }
    let (input, weight, bias) = (feature_maps.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    let (maxima, _) = <Dispatch as ConvKernels>::conv_pool_forward(input, weight, bias, options, *pool);
    Tensor::from_dispatch(maxima)
}

impl ConvKernels for Flex {
    fn conv_forward(
        feature_maps: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        options: Conv2d,
    ) -> FlexTensor {
        let (input, weight, bias) = (contiguous(feature_maps), contiguous(weight), contiguous(bias));
        let shape = options.geometry(input.shape().dims(), weight.shape().dims());
        let out = kernel::forward(values(&input), values(&weight), values(&bias), options.relu, &shape);
        tensor(out, [shape.batch, shape.filters, shape.output[0], shape.output[1]])
    }

    fn conv_pool_forward(
        feature_maps: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        options: Conv2d,
        pool: Pool,
    ) -> (FlexTensor, FlexTensor) {
        let (input, weight, bias) = (contiguous(feature_maps), contiguous(weight), contiguous(bias));
        let shape = options.geometry(input.shape().dims(), weight.shape().dims());
        let pool = Pooling::new(shape.output, pool);
        let (input, weight, bias) = (values(&input), values(&weight), values(&bias));
        let (maxima, argmax) = kernel::forward_pooled(input, weight, bias, options.relu, &shape, &pool);
        with_argmax(maxima, argmax, [shape.batch, shape.filters, pool.output[0], pool.output[1]])
    }
}

impl ConvGradients for Flex {
    fn conv_gradient_input(
        gradient: FlexTensor,
        weight: FlexTensor,
        input: [usize; 4],
        options: Conv2d,
    ) -> FlexTensor {
        let (gradient, weight) = (contiguous(gradient), contiguous(weight));
        let shape = options.geometry(input, weight.shape().dims());
        tensor(kernel::input_gradient(Images::Whole(values(&gradient)), values(&weight), &shape), input)
    }

    fn conv_gradient_weight(
        gradient: FlexTensor,
        feature_maps: FlexTensor,
        weight: [usize; 4],
        options: Conv2d,
    ) -> FlexTensor {
        let (gradient, input) = (contiguous(gradient), contiguous(feature_maps));
        let shape = options.geometry(input.shape().dims(), weight);
        let images = Images::Whole(values(&gradient));
        tensor(weight_gradient::weight_gradient(values(&input), images, &shape), weight)
    }

    fn conv_gradient_bias(gradient: FlexTensor) -> FlexTensor {
        let gradient = contiguous(gradient);
        let [_, filters, height, width] = gradient.shape().dims();
        tensor(kernel::bias_gradient(values(&gradient), filters, height * width), [filters])
    }

    fn conv_pool_gradient_input(
        gradient: FlexTensor,
        argmax: FlexTensor,
        weight: FlexTensor,
        input: [usize; 4],
        options: Conv2d,
        pool: Pool,
    ) -> FlexTensor {
        let (gradient, weight) = (contiguous(gradient), contiguous(weight));
        let shape = options.geometry(input, weight.shape().dims());
        let scatter = Scatter::new(Pooling::new(shape.output, pool));
        let images =
            Images::Pooled { gradient: values(&gradient), argmax: positions(&argmax), scatter: &scatter };
        tensor(kernel::input_gradient(images, values(&weight), &shape), input)
    }

    fn conv_pool_gradient_weight(
        gradient: FlexTensor,
        argmax: FlexTensor,
        feature_maps: FlexTensor,
        weight: [usize; 4],
        options: Conv2d,
        pool: Pool,
    ) -> FlexTensor {
        let (gradient, input) = (contiguous(gradient), contiguous(feature_maps));
        let shape = options.geometry(input.shape().dims(), weight);
        let scatter = Scatter::new(Pooling::new(shape.output, pool));
        let images =
            Images::Pooled { gradient: values(&gradient), argmax: positions(&argmax), scatter: &scatter };
        tensor(weight_gradient::weight_gradient(values(&input), images, &shape), weight)
    }
}
