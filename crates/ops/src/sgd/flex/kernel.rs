//! The update in one sweep over memory, in place.

use crate::threads::*;
use pulp::{Simd, WithSimd};

use crate::config::SgdStep;
use crate::flex::sweep::SPAN;
use crate::level::dispatch;

/// One step of [`sgd_step`](crate::sgd_step). It updates the velocities in place and overwrites the gradient
/// with the new weights.
pub(super) fn update(weight: &[f32], gradient: &mut [f32], velocity: &mut [f32], step: &SgdStep) {
    let rate = step.learning_rate;
    let factors = [-rate as f32, (rate * step.weight_decay) as f32, step.momentum as f32];
    gradient.par_chunks_mut(SPAN).zip(velocity.par_chunks_mut(SPAN)).zip(weight.par_chunks(SPAN)).for_each(
        |((gradient, velocity), weight)| {
            dispatch(Step { weight, gradient, velocity, factors });
        },
    );
}

struct Step<'a> {
    weight: &'a [f32],
    gradient: &'a mut [f32],
    velocity: &'a mut [f32],
    /// The factors of the gradient, the weight and the velocity.
    factors: [f32; 3],
}

impl WithSimd for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { weight, gradient, velocity, factors: [rate, decay, momentum] } = self;
        for ((gradient, velocity), weight) in gradient.iter_mut().zip(velocity).zip(weight) {
            // Same order as the composed form, to give the same bits.
            *velocity = *gradient * rate - weight * decay + *velocity * momentum;
            *gradient = weight + *velocity;
        }
    }
}
