//! The ReLU at the end of a layer, and its gradient.

use crate::threads::*;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex};
use pulp::{Simd, WithSimd};

use super::sweep::SPAN;
use super::{contiguous, owned, values};
use crate::level::dispatch;

/// max(0, x); NaN stays NaN.
#[inline(always)]
pub(crate) fn rectified(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// The gradient of a layer's last steps.
pub(crate) trait RectifyGradient: Backend {
    /// Returns the gradient before a ReLU and a multiplication by `gain`, from the gradient after them.
    fn rectify_gradient(
        gradient: FloatTensor<Self>,
        outputs: FloatTensor<Self>,
        gain: f32,
    ) -> FloatTensor<Self>;
}

impl RectifyGradient for Flex {
    fn rectify_gradient(gradient: FlexTensor, outputs: FlexTensor, gain: f32) -> FlexTensor {
        let (mut gradient, outputs) = (owned(gradient), contiguous(outputs));
        rectify_gradient(gradient.storage_mut(), values(&outputs), gain);
        gradient
    }
}

/// Converts the gradient after a ReLU and a multiplication by `gain` into the gradient before them. It is
/// zero where the output was zero.
fn rectify_gradient(gradient: &mut [f32], outputs: &[f32], gain: f32) {
    gradient.par_chunks_mut(SPAN).zip(outputs.par_chunks(SPAN)).for_each(|(gradient, outputs)| {
        dispatch(Rectify { gradient, outputs, gain });
    });
}

struct Rectify<'a> {
    gradient: &'a mut [f32],
    outputs: &'a [f32],
    gain: f32,
}

impl WithSimd for Rectify<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (gradient, output) in self.gradient.iter_mut().zip(self.outputs) {
            *gradient = if *output <= 0.0 { 0.0 } else { *gradient * self.gain };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_passes_through() {
        let mut gradient = [3.0; 5];
        let outputs = [f32::NAN, 1.0, 0.0, f32::INFINITY, -0.0];
        rectify_gradient(&mut gradient, &outputs, 2.0);
        assert_eq!(gradient, [6.0, 6.0, 0.0, 6.0, 0.0]);
        assert!(rectified(f32::NAN).is_nan());
    }
}
