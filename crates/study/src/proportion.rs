//! The interval of a proportion.

use statrs::distribution::{Beta, ContinuousCDF};

use crate::statistics::LEVEL;

/// Returns the exact 95 % interval of a proportion of which `count` of `of` cases were seen (Clopper & Pearson 1934), as
/// fractions.
pub fn proportion_interval(count: u64, of: u64) -> (f64, f64) {
    let (seen, not_seen) = (count as f64, of.saturating_sub(count) as f64);
    let quantile = |a: f64, b: f64, share: f64| Beta::new(a, b).ok().map(|beta| beta.inverse_cdf(share));
    let low = quantile(seen, not_seen + 1.0, LEVEL / 2.0).filter(|_| count > 0);
    let high = quantile(seen + 1.0, not_seen, 1.0 - LEVEL / 2.0).filter(|_| count < of);
    (low.unwrap_or(0.0), high.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By scipy (`tests/golden/make_statistics.py`).
    #[test]
    fn intervals_are_those_of_scipy() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/statistics.json")).unwrap();
        let cases = golden["proportions"].as_array().unwrap();
        assert_eq!(cases.len(), 4);
        for case in cases {
            let number = |key: &str| case[key].as_u64().unwrap();
            let found = proportion_interval(number("count"), number("of"));
            let [low, high] = [0, 1].map(|end| case["interval"][end].as_f64().unwrap());
            assert!((found.0 - low).abs() < 1e-9 && (found.1 - high).abs() < 1e-9, "{case}: {found:?}");
        }
        assert_eq!(proportion_interval(0, 0), (0.0, 1.0));
    }
}
