//! How many seeds a comparison needs.

use statrs::distribution::{ChiSquared, Continuous, ContinuousCDF, Normal};

use crate::critical::Critical;

/// The largest number of seeds that is considered. Nobody would train more.
pub(crate) const MANY_SEEDS: usize = 1000;

/// The power at which the number of seeds needed is computed.
const POWER: f64 = 0.8;

/// Returns about how many seeds decide with a probability of 80 %, if the true mean and standard deviation
/// are `mean` and `sd`. The seeds decide if the interval at 1 − `level` excludes 0, or the one at 1 − 2 ·
/// `level` lies within ±delta.
pub fn seeds_needed(mean: f64, sd: f64, delta: f64, level: f64) -> Option<usize> {
    (2..=MANY_SEEDS).find(|&seeds| {
        power(mean, sd, seeds, level).max(power_equivalence(mean, sd, seeds, delta, level)) >= POWER
    })
}

/// Returns the 80 % confidence interval of the true standard deviation, given the sample standard deviation
/// `sd` of `seeds` seeds.
pub fn spread(sd: f64, seeds: usize) -> Option<(f64, f64)> {
    let degrees = seeds.checked_sub(1).filter(|&degrees| degrees > 0)? as f64;
    let squares = ChiSquared::new(degrees).ok()?;
    Some((sd * (degrees / squares.inverse_cdf(0.9)).sqrt(), sd * (degrees / squares.inverse_cdf(0.1)).sqrt()))
}

/// Returns the probability that the paired t test over `seeds` seeds detects a true mean of `mean`.
pub fn power(mean: f64, sd: f64, seeds: usize, level: f64) -> f64 {
    let (degrees, n) = (seeds as f64 - 1.0, seeds as f64);
    let (shift, critical) = (mean * n.sqrt() / sd, Critical::new(level, seeds).two_sided);
    let outside =
        |normal: &Normal, s: f64| normal.sf(critical * s - shift) + normal.cdf(-critical * s - shift);
    expected(degrees, outside)
}

/// Returns the probability that the two one-sided tests over `seeds` seeds find a true mean of `mean` within
/// ±delta.
pub(crate) fn power_equivalence(mean: f64, sd: f64, seeds: usize, delta: f64, level: f64) -> f64 {
    let (degrees, n) = (seeds as f64 - 1.0, seeds as f64);
    let (scale, critical) = (n.sqrt() / sd, Critical::new(level, seeds).one_sided);
    let inside = |normal: &Normal, s: f64| {
        let (low, high) = ((-delta - mean) * scale + critical * s, (delta - mean) * scale - critical * s);
        if low < high { normal.cdf(high) - normal.cdf(low) } else { 0.0 }
    };
    expected(degrees, inside)
}

/// Returns the expectation of `f(normal, s)`, where s is the ratio of a sample's standard deviation to the
/// true one: s² is a chi-squared variable divided by its degrees of freedom. Uses Simpson's rule over eight
/// standard deviations of s on each side.
fn expected(degrees: f64, f: impl Fn(&Normal, f64) -> f64) -> f64 {
    const INTERVALS: usize = 200;
    let (Ok(squares), Ok(normal)) = (ChiSquared::new(degrees), Normal::new(0.0, 1.0)) else {
        return 0.0;
    };
    let reach = 8.0 / (2.0 * degrees).sqrt();
    let low = (1.0 - reach).max(1e-9); // the density of s² may be unbounded at 0; that of s is not
    let step = (1.0 + reach - low) / INTERVALS as f64;
    let value = |at: usize| {
        let s = low + at as f64 * step;
        // Uses the logarithm, because statrs's density overflows between 240 and 320 degrees of freedom.
        squares.ln_pdf(degrees * s * s).exp() * 2.0 * degrees * s * f(&normal, s)
    };
    let weighted = (0..=INTERVALS).map(|at| match at {
        0 | INTERVALS => value(at),
        _ if at % 2 == 1 => 4.0 * value(at),
        _ => 2.0 * value(at),
    });
    weighted.sum::<f64>() * step / 3.0
}
