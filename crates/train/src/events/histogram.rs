//! The distribution of numbers in equal intervals.

use super::messages::Histogram;

/// The number of intervals.
const BUCKETS: usize = 30;

/// Returns the distribution of the finite ones of some numbers.
pub(super) fn of(values: &[f32]) -> Histogram {
    let finite = || values.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value));
    let (min, max) =
        finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| (low.min(it), high.max(it)));
    if min > max {
        return Histogram::default();
    }
    let width = if max > min { (max - min) / BUCKETS as f64 } else { 1.0 };
    let mut counts = vec![0.0; BUCKETS];
    for value in finite() {
        counts[(((value - min) / width) as usize).min(BUCKETS - 1)] += 1.0;
    }
    Histogram {
        min,
        max,
        count: finite().count() as f64,
        sum: finite().sum(),
        sum_squares: finite().map(|value| value * value).sum(),
        limits: (1..=BUCKETS).map(|bucket| min + bucket as f64 * width).collect(),
        counts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_number_is_in_one_interval() {
        let found = of(&[-1.0, 0.0, 0.5, 2.0, 2.0, f32::NAN]);
        assert_eq!((found.min, found.max, found.count, found.sum), (-1.0, 2.0, 5.0, 3.5));
        assert_eq!(found.counts.iter().sum::<f64>(), 5.0);
        assert_eq!((found.counts[0], found.counts[10], found.counts[29]), (1.0, 1.0, 2.0));
        assert_eq!(of(&[3.0; 4]).counts[0], 4.0);
        assert_eq!(of(&[f32::NAN]), Histogram::default());
    }
}
