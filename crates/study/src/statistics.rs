//! Paired comparisons over seeds. The distributions come from statrs; the golden values come from scipy and
//! statsmodels (`tests/golden/make_statistics.py`).

#[cfg(test)]
mod tests;

use alexnet_ops::Key;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use crate::critical::{Critical, t_above};
use crate::power::{MANY_SEEDS, seeds_needed};

/// The joint level of all verdicts of an ablation, and of each supplementary test before Holm's correction.
pub const LEVEL: f64 = 0.05;

/// The smallest number of seeds for a bootstrap. Fewer do not represent the distribution.
const SEEDS_TO_BOOTSTRAP: usize = 10;

/// The largest number of seeds for which all sign assignments are enumerated. Beyond it, random ones are
/// drawn.
const SEEDS_TO_ENUMERATE: usize = 16;

const RESAMPLES: usize = 2000;

/// Returns the mean of some values and their sample standard deviation.
pub fn mean_and_sd(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
}

/// The t intervals on which a verdict at some level rests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intervals {
    /// The confidence interval at 1 − level. The verdict is a difference if it excludes 0.
    pub difference: (f64, f64),
    /// The confidence interval at 1 − 2 · level. The verdict is an equivalence if it lies within ±delta,
    /// which amounts to two one-sided tests at the level.
    pub equivalence: (f64, f64),
}

/// The decision of the intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The arm's value is larger.
    Larger,
    /// The arm's value is smaller.
    Smaller,
    /// The difference is within ±delta.
    Within,
}

impl Intervals {
    /// Computes the intervals around the mean of `seeds` differences with standard deviation `sd`.
    pub fn of(mean: f64, sd: f64, seeds: usize, critical: Critical) -> Self {
        let around = |quantile: f64| {
            let half = quantile * sd / (seeds as f64).sqrt();
            (mean - half, mean + half)
        };
        Self { difference: around(critical.two_sided), equivalence: around(critical.one_sided) }
    }

    /// Returns the decision of the intervals, or `None` if they decide nothing.
    pub fn decide(&self, delta: f64) -> Option<Decision> {
        let ((low, high), (inner_low, inner_high)) = (self.difference, self.equivalence);
        if low > 0.0 {
            Some(Decision::Larger)
        } else if high < 0.0 {
            Some(Decision::Smaller)
        } else {
            (inner_low > -delta && inner_high < delta).then_some(Decision::Within)
        }
    }
}

/// A paired difference between two arms trained with the same seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The number of seeds that both arms have.
    pub seeds: usize,
    /// The mean difference.
    pub mean: f64,
    /// The 95 % t interval; absent for one seed.
    pub interval_95: Option<(f64, f64)>,
    /// The 90 % t interval; absent for one seed.
    pub interval_90: Option<(f64, f64)>,
    /// The level of the verdict: 5 % divided over the arms of the ablation, and over its looks if it has
    /// several.
    pub level: f64,
    /// The t interval at 1 − `level`. The verdict is a difference if it excludes 0. Absent for one seed.
    pub interval_adjusted: Option<(f64, f64)>,
    /// The t interval at 1 − 2 · `level`. The verdict is an equivalence if it lies within ±delta. Absent for
    /// one seed.
    pub interval_adjusted_equivalence: Option<(f64, f64)>,
    /// The standard deviation of the differences.
    pub sd: Option<f64>,
    /// Which values are only lower bounds.
    #[serde(default, skip_serializing_if = "Censoring::is_none")]
    pub censoring: Censoring,
    /// The p value of the two-sided paired t test. Absent for one seed and for equal differences.
    pub p: Option<f64>,
    /// The same p value after Holm's correction over the arms of the ablation.
    pub p_holm: Option<f64>,
    /// The p value of the two one-sided tests that the difference lies within ±delta.
    pub p_equivalence: Option<f64>,
    /// The sign-flip test.
    pub sign_flip: Option<SignFlip>,
    /// The 95 % interval of a bootstrap over seeds, from ten seeds on.
    pub bootstrap: Option<(f64, f64)>,
    /// The 95 % interval of a bootstrap over seeds and test images, if every run stored its predictions.
    pub crossed_bootstrap: Option<(f64, f64)>,
}

/// Which values of a comparison are only lower bounds, because runs ended before they reached a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Censoring {
    /// None.
    #[default]
    None,
    /// Values of the arm, so that its differences are lower bounds.
    Arm,
    /// Values of the base, whose pairs are left out.
    Base,
}

impl Censoring {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The two-sided permutation test that flips the signs of the differences.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SignFlip {
    /// The smallest p that this number of seeds can give.
    pub smallest: f64,
    /// The p value. Absent if `smallest` exceeds the level that Holm's correction requires of the smallest p,
    /// because the test could then not reject.
    pub p: Option<f64>,
}

impl Difference {
    /// Computes the mean, intervals and tests of the differences, with a verdict at `level`. Returns `None`
    /// without a pair.
    pub fn of(differences: &[f64], delta: f64, level: f64) -> Option<Self> {
        if differences.is_empty() {
            return None;
        }
        let (mean, sd) = mean_and_sd(differences);
        let n = differences.len() as f64;
        let at = |level: f64| {
            let critical = Critical::new(level, differences.len());
            sd.map(|sd| Intervals::of(mean, sd, differences.len(), critical))
        };
        let (raw, adjusted) = (at(LEVEL), at(level));
        let above = |distance: f64, sd: f64| t_above(distance * n.sqrt() / sd, n - 1.0);
        let spread = sd.filter(|sd| !is_negligible(*sd, mean));
        Some(Self {
            seeds: differences.len(),
            mean,
            interval_95: raw.map(|raw| raw.difference),
            interval_90: raw.map(|raw| raw.equivalence),
            level,
            interval_adjusted: adjusted.map(|adjusted| adjusted.difference),
            interval_adjusted_equivalence: adjusted.map(|adjusted| adjusted.equivalence),
            sd,
            censoring: Censoring::None,
            p: spread.map(|sd| (2.0 * above(mean.abs(), sd)).min(1.0)),
            p_holm: None,
            p_equivalence: spread.map(|sd| above(delta - mean.abs(), sd)),
            sign_flip: None,
            bootstrap: (differences.len() >= SEEDS_TO_BOOTSTRAP).then(|| bootstrap(differences)),
            crossed_bootstrap: None,
        })
    }

    /// Marks values as lower bounds, and removes the p values that then mean nothing.
    pub fn censored(mut self, censoring: Censoring) -> Self {
        self.censoring = censoring;
        if censoring == Censoring::Base {
            self.p = None;
        }
        if censoring != Censoring::None {
            self.p_equivalence = None;
        }
        self
    }

    /// Returns whether the difference belongs to the family of tests of its ablation: it has at least two pairs. Its p may be
    /// unknown; the family does not depend on what was found.
    pub fn is_tested(&self) -> bool {
        self.sd.is_some()
    }

    /// Returns the verdict on a claim of sign `expected` (0: no claim).
    pub fn verdict(&self, expected: i8, delta: f64) -> Verdict {
        let (Some(difference), Some(equivalence), Some(sd)) =
            (self.interval_adjusted, self.interval_adjusted_equivalence, self.sd)
        else {
            return Verdict::Undecided { seeds_needed: None, because: None };
        };
        let unknown = |because| Verdict::Undecided { seeds_needed: None, because: Some(because) };
        if is_negligible(sd, self.mean) {
            return unknown(Unknown::EqualDifferences);
        }
        let decision = (Intervals { difference, equivalence }).decide(delta);
        let found = match (decision, self.censoring) {
            (_, Censoring::Base) => return unknown(Unknown::NotReached),
            (Some(Decision::Larger), _) => 1,
            // Lower bounds show that a difference is large, and not that it is small.
            (_, Censoring::Arm) => return unknown(Unknown::NotReached),
            (Some(Decision::Within), _) => return Verdict::SmallerThanDelta,
            (Some(Decision::Smaller), _) => -1,
            (None, _) => {
                let seeds_needed = seeds_needed(self.mean, sd, delta, self.level);
                return Verdict::Undecided { seeds_needed, because: None };
            }
        };
        match expected {
            0 => Verdict::Differs { larger: found > 0 },
            _ if found == expected => Verdict::SameDirection,
            _ => Verdict::OppositeDirection,
        }
    }

    /// Returns whether the verdict's interval differs from the 95 % interval.
    pub fn is_adjusted(&self) -> bool {
        self.level < LEVEL
    }
}

/// Returns whether differences are equal, up to the rounding of percentages. Errors are counts over few images, so this is a
/// coincidence and does not measure the spread.
fn is_negligible(sd: f64, mean: f64) -> bool {
    sd <= 1e-9 * mean.abs()
}

/// Fills in the tests that depend on all arms of an ablation: Holm's correction (Holm 1979) of the t tests,
/// and the sign-flip tests that can reject. `differences` has the pairs of each arm except the base.
pub fn correct(arms: &mut [(&mut Difference, &[f64])]) {
    let tested: Vec<usize> = (0..arms.len()).filter(|&arm| arms[arm].0.is_tested()).collect();
    let p: Vec<f64> = tested.iter().map(|&arm| arms[arm].0.p.unwrap_or(1.0)).collect();
    for (&arm, corrected) in tested.iter().zip(holm(&p)) {
        arms[arm].0.p_holm = arms[arm].0.p.map(|_| corrected);
    }
    let level = LEVEL / tested.len().max(1) as f64;
    for (difference, pairs) in arms {
        let smallest = 2.0 / 2f64.powi(pairs.len() as i32);
        let p = (smallest <= level).then(|| sign_flip(pairs));
        difference.sign_flip = difference.p.map(|_| SignFlip { smallest, p });
    }
}

/// Applies Holm's step-down correction. Each returned p value can be compared with the level of the family.
fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[at]).min(1.0);
        corrected[at] = largest;
    }
    corrected
}

/// Returns for each p value the smallest false discovery rate at which it counts as a discovery (Benjamini & Hochberg
/// 1995).
pub fn false_discovery(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
    let mut rates = vec![0.0; p.len()];
    let mut least: f64 = 1.0;
    for (below, &at) in order.iter().enumerate() {
        least = least.min(p[at] * p.len() as f64 / (p.len() - below) as f64);
        rates[at] = least;
    }
    rates
}

/// Returns the fraction of sign assignments whose mean is at least as far from 0 as the observed one.
fn sign_flip(differences: &[f64]) -> f64 {
    let n = differences.len();
    let seen: f64 = differences.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order can differ in the last digits.
    let least = seen - 1e-12 * differences.iter().map(|value| value.abs()).sum::<f64>();
    let flipped = |values: &[f64], signs: u64| {
        let signed =
            values.iter().enumerate().map(|(at, value)| if signs >> at & 1 == 1 { -value } else { *value });
        signed.sum::<f64>()
    };
    if n <= SEEDS_TO_ENUMERATE {
        let all = 1u64 << n;
        let extreme = (0..all).filter(|&signs| flipped(differences, signs).abs() >= least).count();
        return extreme as f64 / all as f64;
    }
    let mut rng = draws("sign flip");
    let many = 1usize << SEEDS_TO_ENUMERATE;
    let mut sum = || differences.chunks(64).map(|values| flipped(values, rng.next_u64())).sum::<f64>();
    let extreme = (0..many).filter(|_| sum().abs() >= least).count();
    (extreme + 1) as f64 / (many + 1) as f64 // the observed assignment is one of them
}

/// Returns the random stream of a resampling, which is the same every time.
fn draws(purpose: &str) -> ChaCha8Rng {
    Key::new([0, 0, 0, Key::word(purpose)]).rng()
}

/// Returns a uniformly distributed integer below `n`.
fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u64::from(rng.next_u32()) * n as u64) >> 32) as usize
}

/// Returns the 95 % percentile bootstrap interval of the mean.
fn bootstrap(values: &[f64]) -> (f64, f64) {
    let mut rng = draws("bootstrap");
    let n = values.len();
    let mean = |_| (0..n).map(|_| values[below(&mut rng, n)]).sum::<f64>() / n as f64;
    percentiles((0..5 * RESAMPLES).map(mean).collect())
}

/// Returns the 95 % interval of the difference in test error, in percent, with both seeds and test images
/// resampled. `pairs` has, for each seed, whether base and arm were right about each image.
pub fn crossed_bootstrap(pairs: &[(Vec<bool>, Vec<bool>)]) -> Option<(f64, f64)> {
    let images = pairs.first()?.0.len();
    if pairs.len() < 2
        || images == 0
        || pairs.iter().any(|(base, arm)| (base.len(), arm.len()) != (images, images))
    {
        return None;
    }
    // Only images on which the two disagree affect the difference.
    let disagreements: Vec<Vec<(usize, i32)>> = pairs
        .iter()
        .map(|(base, arm)| {
            let both = base.iter().zip(arm).enumerate().filter(|(_, (base, arm))| base != arm);
            both.map(|(image, (base, _))| (image, if *base { 1 } else { -1 })).collect()
        })
        .collect();
    let mut rng = draws("crossed bootstrap");
    let mut counts = vec![0i32; images];
    let resampled = (0..RESAMPLES).map(|_| {
        counts.fill(0);
        (0..images).for_each(|_| counts[below(&mut rng, images)] += 1);
        let of_seeds = (0..pairs.len()).map(|_| &disagreements[below(&mut rng, pairs.len())]);
        let sum: i32 = of_seeds.flatten().map(|&(image, sign)| sign * counts[image]).sum();
        100.0 * f64::from(sum) / (images * pairs.len()) as f64
    });
    Some(percentiles(resampled.collect()))
}

/// Returns the 2.5th and 97.5th percentile, interpolated.
fn percentiles(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (values.len() - 1) as f64;
        let (low, part) = (place.floor() as usize, place.fract());
        values[low] + part * (values[(low + 1).min(values.len() - 1)] - values[low])
    };
    (at(0.025), at(0.975))
}

/// McNemar's exact test (McNemar 1947) of two networks on the same images: the number of images that only
/// `first` or only `second` classifies correctly, and the two-sided p.
///
/// It compares two trained networks, not the methods that trained them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct McNemar {
    /// The number of cases that only the first gets right.
    pub first_alone: u64,
    /// The number of cases that only the second gets right.
    pub second_alone: u64,
    /// The p value.
    pub p: f64,
}

impl McNemar {
    /// Compares two classifiers case by case.
    pub fn of(first: &[bool], second: &[bool]) -> Self {
        let alone = |right: &[bool], wrong: &[bool]| {
            right.iter().zip(wrong).filter(|(right, wrong)| **right && !**wrong).count() as u64
        };
        let (first_alone, second_alone) = (alone(first, second), alone(second, first));
        let tail = Binomial::new(0.5, first_alone + second_alone)
            .map_or(1.0, |binomial| binomial.cdf(first_alone.min(second_alone)));
        Self { first_alone, second_alone, p: (2.0 * tail).min(1.0) }
    }
}

/// The verdict on an arm's difference from the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The adjusted interval excludes 0, in the paper's direction.
    SameDirection,
    /// The adjusted interval excludes 0, in the opposite direction.
    OppositeDirection,
    /// The adjusted interval excludes 0, and the paper makes no claim.
    Differs {
        /// Whether the arm's value is above the base's.
        larger: bool,
    },
    /// The adjusted equivalence interval lies inside ±delta.
    SmallerThanDelta,
    /// None of these. About `seeds_needed` seeds would decide it.
    Undecided {
        /// Absent for one seed, for more than 1000, and if the number is unknown.
        seeds_needed: Option<usize>,
        /// Why the number is unknown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<Unknown>,
    },
    /// There is no verdict, because versions of the code or the machine differ within the comparison.
    NotCompared,
}

/// Why it is unknown how many seeds would decide a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// The differences of all seeds are equal, so their spread is not known.
    EqualDifferences,
    /// Runs ended before they reached the target.
    NotReached,
}

impl Unknown {
    /// Returns the reason as text for a table.
    pub fn text(self) -> &'static str {
        match self {
            Self::EqualDifferences => "equal differences",
            Self::NotReached => "target not reached",
        }
    }
}

impl Verdict {
    /// Returns why it is unknown how many seeds would decide, if it is.
    pub fn unknown(self) -> Option<Unknown> {
        match self {
            Self::Undecided { because, .. } => because,
            _ => None,
        }
    }

    /// Returns whether more seeds cannot change the verdict.
    pub fn is_decided(self) -> bool {
        !matches!(self, Self::Undecided { .. } | Self::NotCompared)
    }

    /// Returns the verdict as text for a table.
    pub fn text(self, delta: f64, seeds: usize) -> String {
        match self {
            Verdict::SameDirection => "same direction".to_owned(),
            Verdict::OppositeDirection => "opposite direction".to_owned(),
            Verdict::Differs { larger: true } => "higher".to_owned(),
            Verdict::Differs { larger: false } => "lower".to_owned(),
            Verdict::SmallerThanDelta => format!("smaller than {delta}"),
            Verdict::Undecided { .. } if seeds < 2 => "undecided: one seed".to_owned(),
            Verdict::Undecided { because: Some(why), .. } => format!("undecided: {}", why.text()),
            Verdict::Undecided { seeds_needed: Some(n), .. } => format!("undecided: about {n} seeds needed"),
            Verdict::Undecided { seeds_needed: None, .. } => {
                format!("undecided: over {MANY_SEEDS} seeds needed")
            }
            Verdict::NotCompared => "not compared: mixed versions".to_owned(),
        }
    }
}
