//! Averages of a number over the last steps.

/// The weight that each number keeps from one step to the next.
const KEPT: f64 = 0.95;

/// An average whose weights fall from the last number to the first; about 20 numbers count.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Smoothed {
    sum: f64,
    weights: f64,
}

impl Smoothed {
    pub(crate) fn add(&mut self, value: f64) {
        *self = Self { sum: KEPT * self.sum + value, weights: KEPT * self.weights + 1.0 };
    }

    /// Returns the average, if there are numbers.
    pub(crate) fn value(&self) -> Option<f64> {
        (self.weights > 0.0).then(|| self.sum / self.weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_counts_most_and_a_constant_stays() {
        let of = |values: &[f64]| {
            let mut smoothed = Smoothed::default();
            values.iter().for_each(|value| smoothed.add(*value));
            smoothed.value()
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[12.5, 0.0]), Some(0.95 * 12.5 / 1.95));
        assert!((of(&[3.0; 100]).unwrap() - 3.0).abs() < 1e-12);
    }
}
