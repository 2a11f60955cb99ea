//! Uniform draws.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// Draws a uniform integer below `count`.
pub(crate) fn below(rng: &mut ChaCha8Rng, count: usize) -> usize {
    ((u128::from(rng.next_u64()) * count as u128) >> 64) as usize
}

/// Draws a uniform number between 0 and 1.
pub(crate) fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
