//! Critical values of Student's t.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Returns the p-quantile of Student's t with these degrees of freedom.
pub(crate) fn t_quantile(p: f64, degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees).map_or(f64::INFINITY, |t| t.inverse_cdf(p))
}

/// Returns the probability that Student's t is above `t`.
pub(crate) fn t_above(t: f64, degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees).map_or(1.0, |distribution| distribution.sf(t))
}

/// The critical values of Student's t for verdicts at a level.
#[derive(Debug, Clone, Copy)]
pub struct Critical {
    pub(crate) two_sided: f64,
    pub(crate) one_sided: f64,
}

impl Critical {
    /// Computes the critical values at a level, for this many seeds.
    pub fn new(level: f64, seeds: usize) -> Self {
        let degrees = seeds as f64 - 1.0;
        Self {
            two_sided: t_quantile(1.0 - level / 2.0, degrees),
            one_sided: t_quantile(1.0 - level, degrees),
        }
    }
}
