//! Local response normalization with the max pooling after it, on Flex.

mod kernel;
#[cfg(test)]
mod tests;

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};

use super::extension::{LrnPoolGradients, LrnPoolKernels};
use crate::config::{Lrn, Pool};
use crate::flex::{contiguous, elementwise, positions, values, with_argmax};
use crate::pool::flex::lines::Pooling;

impl LrnPoolKernels for Flex {
    fn lrn_pool_forward(feature_maps: FlexTensor, lrn: Lrn, pool: Pool) -> (FlexTensor, FlexTensor) {
        let input = contiguous(feature_maps);
        let [batch, channels, height, width] = input.shape().dims();
        let shape = Pooling::new([height, width], pool);
        let (maxima, argmax) = kernel::forward(values(&input), channels, &lrn, &shape);
        with_argmax(maxima, argmax, [batch, channels, shape.output[0], shape.output[1]])
    }
}

impl LrnPoolGradients for Flex {
    fn lrn_pool_gradient(
        gradient: FlexTensor,
        feature_maps: FlexTensor,
        argmax: FlexTensor,
        lrn: Lrn,
        pool: Pool,
    ) -> FlexTensor {
        let (gradient, input) = (contiguous(gradient), contiguous(feature_maps));
        let [_, channels, height, width] = input.shape().dims();
        let shape = Pooling::new([height, width], pool);
        let (gradient, argmax) = (values(&gradient), positions(&argmax));
        let out = kernel::gradient(values(&input), gradient, argmax, channels, &lrn, &shape);
        elementwise(out, &input)
    }
}
