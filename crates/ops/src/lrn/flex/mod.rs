//! Local response normalization across channels on Flex.

pub(crate) mod kernel;
#[cfg(test)]
mod tests;

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};

use super::extension::{LrnGradients, LrnKernels};
use crate::config::Lrn;
use crate::flex::{contiguous, tensor, values};

impl LrnKernels for Flex {
    fn lrn_forward(feature_maps: FlexTensor, lrn: Lrn) -> FlexTensor {
        let input = contiguous(feature_maps);
        let [batch, channels, height, width] = input.shape().dims();
        let out = kernel::forward(values(&input), [channels, height * width], &lrn);
        tensor(out, [batch, channels, height, width])
    }
}

impl LrnGradients for Flex {
    fn lrn_gradient(gradient: FlexTensor, feature_maps: FlexTensor, lrn: Lrn) -> FlexTensor {
        let (gradient, input) = (contiguous(gradient), contiguous(feature_maps));
        let [batch, channels, height, width] = input.shape().dims();
        let out = kernel::gradient(values(&input), values(&gradient), [channels, height * width], &lrn);
        tensor(out, [batch, channels, height, width])
    }
}
