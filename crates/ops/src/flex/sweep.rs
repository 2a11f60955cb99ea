//! Elementwise operations in one sweep over memory, in place.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::config::SgdStep;

/// Elements per task.
const SPAN: usize = 1 << 14;

/// Elements per step in short runs. The compiler optimizes loops over slices for long runs.
const LANES: usize = 8;

/// Copies a short run, where the call to `memcpy` would cost more than the copy.
#[inline(always)]
pub(super) fn copy(from: &[f32], to: &mut [f32]) {
    if let Some(tail) = to.len().checked_sub(LANES) {
        for (to, from) in to.chunks_exact_mut(LANES).zip(from.chunks_exact(LANES)) {
            to.copy_from_slice(from);
        }
        to[tail..][..LANES].copy_from_slice(&from[tail..][..LANES]);
    } else {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }
}

/// Adds one short run to another.
#[inline(always)]
pub(super) fn add(values: &[f32], sums: &mut [f32]) {
    let values = &values[..sums.len()];
    let (lines, rest) = sums.as_chunks_mut::<LANES>();
    let (from, last) = values.as_chunks::<LANES>();
    for (sums, values) in lines.iter_mut().zip(from) {
        for lane in 0..LANES {
            sums[lane] += values[lane];
        }
    }
    for (sum, value) in rest.iter_mut().zip(last) {
        *sum += value;
    }
}

/// max(0, x); NaN stays NaN.
#[inline(always)]
pub(super) fn rectified(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// Converts the gradient after a ReLU and a multiplication by `gain` into the gradient before them. It is
/// zero where the output was zero.
pub(super) fn rectify_gradient(gradient: &mut [f32], outputs: &[f32], gain: f32) {
    let arch = Arch::new();
    gradient.par_chunks_mut(SPAN).zip(outputs.par_chunks(SPAN)).for_each(|(gradient, outputs)| {
        arch.dispatch(Rectify { gradient, outputs, gain });
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

/// One step of [`sgd_step`](crate::sgd_step). It updates the velocities in place and overwrites the gradient
/// with the new weights.
pub(super) fn sgd_step(weight: &[f32], gradient: &mut [f32], velocity: &mut [f32], how: &SgdStep) {
    let arch = Arch::new();
    let rate = how.learning_rate;
    let factors = [-rate as f32, (rate * how.weight_decay) as f32, how.momentum as f32];
    gradient.par_chunks_mut(SPAN).zip(velocity.par_chunks_mut(SPAN)).zip(weight.par_chunks(SPAN)).for_each(
        |((gradient, velocity), weight)| {
            arch.dispatch(Step { weight, gradient, velocity, factors });
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
