//! The update on Flex.

mod kernel;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;

use super::extension::SgdKernels;
use crate::config::SgdStep;
use crate::flex::{contiguous, owned, values};

impl SgdKernels for Flex {
    fn sgd_update(
        weight: FlexTensor,
        gradient: FlexTensor,
        velocity: FlexTensor,
        step: SgdStep,
    ) -> (FlexTensor, FlexTensor) {
        let weight = contiguous(weight);
        // The gradient is no longer needed: its memory takes the new weights.
        let (mut gradient, mut velocity) = (owned(gradient), owned(velocity));
        kernel::update(values(&weight), gradient.storage_mut(), velocity.storage_mut(), &step);
        (gradient, velocity)
    }
}
