//! The comparison of two arms over seeds, by the project's statistics.

use alexnet_study::statistics::{Difference, LEVEL};
use serde::{Deserialize, Serialize};

use crate::{Answer, Answered};

#[derive(Debug, Deserialize)]
struct Request {
    /// A difference for each seed.
    differences: Vec<f64>,
    /// The largest difference that counts as none.
    delta: f64,
}

#[derive(Debug, Serialize)]
struct Compared {
    mean: f64,
    /// The 95 % t interval; absent for one seed.
    interval: Option<(f64, f64)>,
}

/// Answers with the mean of paired differences and its interval.
///
/// # Errors
/// If the request is not JSON, or has no difference.
pub fn compare(request: &[u8]) -> Answered {
    let Request { differences, delta } = serde_json::from_slice(request)?;
    let found = Difference::of(&differences, delta, LEVEL).ok_or("no seed is finished")?;
    Ok(Answer::of(&Compared { mean: found.mean, interval: found.interval_95 }, Vec::new())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_differences_have_an_interval_and_one_has_none() {
        let interval = |differences: &str| {
            let request = format!("{{\"differences\": {differences}, \"delta\": 0.3}}");
            let answer: serde_json::Value =
                serde_json::from_str(&compare(request.as_bytes()).unwrap().text).unwrap();
            answer["interval"][1].as_f64()
        };
        // 2 + 4.302653 · 1 / √3, by scipy.stats.t.interval.
        assert!((interval("[1, 2, 3]").unwrap() - 4.484_137_711_719_545).abs() < 1e-9);
        assert_eq!(interval("[1]"), None);
        assert!(compare(b"{\"differences\": [], \"delta\": 0}").is_err());
    }
}
