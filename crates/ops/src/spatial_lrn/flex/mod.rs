//! Local response normalization within each feature map, on Flex.

mod kernel;
#[cfg(test)]
mod tests;

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};

use super::extension::{SpatialLrnGradients, SpatialLrnKernels};
use crate::config::Lrn;
use crate::flex::{contiguous, elementwise, values};

impl SpatialLrnKernels for Flex {
    fn spatial_lrn_forward(feature_maps: FlexTensor, lrn: Lrn) -> FlexTensor {
        let input = contiguous(feature_maps);
        let [_, _, height, width] = input.shape().dims();
        elementwise(kernel::forward(values(&input), [height, width], &lrn), &input)
    }
}

impl SpatialLrnGradients for Flex {
    fn spatial_lrn_gradient(gradient: FlexTensor, feature_maps: FlexTensor, lrn: Lrn) -> FlexTensor {
        let (gradient, input) = (contiguous(gradient), contiguous(feature_maps));
        let [_, _, height, width] = input.shape().dims();
        elementwise(kernel::gradient(values(&input), values(&gradient), [height, width], &lrn), &input)
    }
}
