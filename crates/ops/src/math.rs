//! Elementary functions and Gaussian draws that give the same bits on every machine.
//!
//! The platform's own functions differ between systems, versions and processors. These come from the `libm` crate, which
//! computes them in plain arithmetic.

use rand_chacha::rand_core::Rng;

pub use libm::{cos, exp, log as ln, pow};

/// Returns `base` multiplied by itself: `base` to the power `exponent`. The standard library leaves the precision of its
/// own open.
pub fn whole_power(base: f64, exponent: usize) -> f64 {
    (0..exponent).fold(1.0, |product, _| product * base)
}

/// Draws a uniform number in [−1, 1).
pub fn uniform(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// Standard Gaussian numbers by Marsaglia's polar method, from a stream of random bits.
#[derive(Debug)]
pub struct Gaussian<R> {
    rng: R,
    /// The method makes two numbers at a time.
    spare: Option<f64>,
}

impl<R: Rng> Gaussian<R> {
    /// Creates the numbers of a stream.
    pub fn new(rng: R) -> Self {
        Self { rng, spare: None }
    }

    /// Draws the next number.
    pub fn draw(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (uniform(&mut self.rng), uniform(&mut self.rng));
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let factor = (-2.0 * ln(square) / square).sqrt();
                self.spare = Some(y * factor);
                return x * factor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    #[test]
    fn gaussian_numbers_have_the_moments_and_tails_of_the_distribution() {
        let mut draws = Gaussian::new(Key::new([1, 2, 3, 4]).rng());
        let draws: Vec<f64> = (0..100_000).map(|_| draws.draw()).collect();
        let moment = |power: usize| {
            draws.iter().map(|draw| whole_power(*draw, power)).sum::<f64>() / draws.len() as f64
        };
        // Six standard errors of each moment.
        for (power, expected, error) in [(1, 0.0, 0.019), (2, 1.0, 0.027), (3, 0.0, 0.074), (4, 3.0, 0.19)] {
            assert!((moment(power) - expected).abs() < error, "moment {power}: {}", moment(power));
        }
        // 270 of 100,000 are beyond three standard deviations, with a standard deviation of 16.
        let beyond = draws.iter().filter(|draw| draw.abs() > 3.0).count();
        assert!((170..=370).contains(&beyond), "{beyond}");
    }

    #[test]
    fn the_bits_of_draws_and_functions_are_those_of_every_machine() {
        let mut draws = Gaussian::new(Key::new([0, 0, 0, 0]).rng());
        let found: Vec<u64> = (0..4).map(|_| draws.draw().to_bits()).collect();
        assert_eq!(found, GOLDEN_DRAWS, "{found:#x?}");
        let found = [exp(-1.5), ln(3.0), cos(1.0), pow(2.0, -0.75), whole_power(1.1, 7)].map(f64::to_bits);
        assert_eq!(found, GOLDEN_FUNCTIONS, "{found:#x?}");
    }

    const GOLDEN_DRAWS: [u64; 4] =
        [0x3ff0f7c9f719a745, 0x3fda79a40334a664, 0xbfd3419717c4f565, 0xbfdb84f5a66f87ad];
    const GOLDEN_FUNCTIONS: [u64; 5] =
        [0x3fcc8f87724b5c1d, 0x3ff193ea7aad030a, 0x3fe14a280fb5068c, 0x3fe306fe0a31b715, 0x3fff2df1fb5a7ed8];
}
