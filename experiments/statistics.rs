//! Paired comparisons over seeds.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The mean of some values and their sample standard deviation.
pub(crate) fn mean_and_sd(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
}

/// The p-quantile of Student's t with these degrees of freedom.
fn t_quantile(p: f64, degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees).map_or(f64::INFINITY, |t| t.inverse_cdf(p))
}

/// A difference between two arms trained with the same seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Difference {
    /// Seeds that both arms have.
    pub(crate) seeds: usize,
    pub(crate) mean: f64,
    /// The 95 % t interval; absent for one seed.
    pub(crate) interval_95: Option<(f64, f64)>,
    /// The 90 % t interval; absent for one seed.
    pub(crate) interval_90: Option<(f64, f64)>,
    pub(crate) sd: Option<f64>,
}

impl Difference {
    /// The differences' mean and intervals; `None` without a pair.
    pub(crate) fn of(differences: &[f64]) -> Option<Self> {
        if differences.is_empty() {
            return None;
        }
        let (mean, sd) = mean_and_sd(differences);
        let n = differences.len() as f64;
        let interval = |p: f64| {
            sd.map(|sd| t_quantile(p, n - 1.0) * sd / n.sqrt()).map(|half| (mean - half, mean + half))
        };
        Some(Self {
            seeds: differences.len(),
            mean,
            interval_95: interval(0.975),
            interval_90: interval(0.95),
            sd,
        })
    }

    /// What the difference says about a claim of sign `expected` (0: no claim).
    pub(crate) fn verdict(&self, expected: i8, delta: f64) -> Verdict {
        let (Some((low, high)), Some((low_90, high_90)), Some(sd)) =
            (self.interval_95, self.interval_90, self.sd)
        else {
            return Verdict::Undecided { seeds_needed: None };
        };
        if low > 0.0 || high < 0.0 {
            let sign = if low > 0.0 { 1 } else { -1 };
            return match expected {
                0 => Verdict::Differs { larger: sign > 0 },
                _ if sign == expected => Verdict::SameDirection,
                _ => Verdict::OppositeDirection,
            };
        }
        if low_90 > -delta && high_90 < delta {
            return Verdict::SmallerThanDelta;
        }
        Verdict::Undecided { seeds_needed: seeds_needed(self.mean, sd, delta) }
    }
}

/// About how many seeds would decide it, if mean and spread stay as they are: until the 95 %
/// interval excludes 0 or the 90 % interval lies inside ±delta.
fn seeds_needed(mean: f64, sd: f64, delta: f64) -> Option<usize> {
    (3..=1000).find(|&n| {
        let half = |p: f64| t_quantile(p, n as f64 - 1.0) * sd / (n as f64).sqrt();
        half(0.975) < mean.abs() || mean.abs() + half(0.95) < delta
    })
}

/// What an arm's difference to the base says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// The 95 % interval excludes 0, on the paper's side.
    SameDirection,
    /// The 95 % interval excludes 0, on the other side.
    OppositeDirection,
    /// The 95 % interval excludes 0, and the paper says nothing.
    Differs {
        /// Whether the arm's value is above the base's.
        larger: bool,
    },
    /// The 90 % interval lies inside ±delta.
    SmallerThanDelta,
    /// Neither; about so many seeds would decide it, if fewer than 1000 would.
    Undecided {
        /// Absent for one seed or more than 1000.
        seeds_needed: Option<usize>,
    },
}

impl Verdict {
    pub(crate) fn text(self, delta: f64, seeds: usize) -> String {
        match self {
            Verdict::SameDirection => "same direction".to_owned(),
            Verdict::OppositeDirection => "opposite direction".to_owned(),
            Verdict::Differs { larger: true } => "higher".to_owned(),
            Verdict::Differs { larger: false } => "lower".to_owned(),
            Verdict::SmallerThanDelta => format!("smaller than {delta}"),
            Verdict::Undecided { .. } if seeds < 2 => "undecided: one seed".to_owned(),
            Verdict::Undecided { seeds_needed: Some(n) } => format!("undecided: about {n} seeds needed"),
            Verdict::Undecided { seeds_needed: None } => "undecided: over 1000 seeds needed".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_tables() {
        // t(0.975, 4) = 2.7764, t(0.95, 4) = 2.1318; mean 3, sd 1.5811, n 5.
        let difference = Difference::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let (low, high) = difference.interval_95.unwrap();
        assert!((low - 1.0368).abs() < 1e-3 && (high - 4.9632).abs() < 1e-3, "{low} {high}");
        let (low, _) = difference.interval_90.unwrap();
        assert!((low - 1.4926).abs() < 1e-3, "{low}");
        assert_eq!(difference.verdict(1, 0.3), Verdict::SameDirection);
        assert_eq!(difference.verdict(-1, 0.3), Verdict::OppositeDirection);
        assert_eq!(difference.verdict(0, 0.3), Verdict::Differs { larger: true });
    }

    #[test]
    fn small_differences_are_told_from_undecided_ones() {
        let small = Difference::of(&[0.05, -0.05, 0.02, -0.03, 0.01]).unwrap();
        assert_eq!(small.verdict(1, 0.3), Verdict::SmallerThanDelta);
        let noisy = Difference::of(&[1.0, -0.5, 0.8, 0.2, -0.4]).unwrap();
        let Verdict::Undecided { seeds_needed: Some(n) } = noisy.verdict(1, 0.3) else { panic!() };
        // sd 0.672, mean 0.22: (1.96 · 0.672 / 0.22)² is about 36, a little more for small n.
        assert!((36..45).contains(&n), "{n}");
        let one = Difference::of(&[5.0]).unwrap();
        assert_eq!(one.interval_95, None);
        assert_eq!(one.verdict(1, 0.3), Verdict::Undecided { seeds_needed: None });
        assert_eq!(Difference::of(&[]), None);
    }
}
