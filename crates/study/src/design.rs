//! Looks at an ablation's results: those of a design that is fixed in advance, and those that happened.
//!
//! Each look at which a verdict can fall spends a part of the 5 % that all verdicts of an ablation together may be wrong
//! with. A design divides it beforehand (Bonferroni): evenly over the arms, and over the looks in proportion to their seeds,
//! because t intervals of few seeds depend on the shape of the distribution most. Whatever the arms and looks have to do with
//! each other, the sum is kept. At each look an arm can be wrong in one way only. Where the true difference is 0, that is a
//! difference found; where it is ±delta or more, that is an equivalence or the other sign found, and both need the same
//! one-sided t test to reject at the look's level.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::statistics::{LEVEL, Verdict};

/// The first look of a design; each further one has twice the seeds.
const FIRST_LOOK: usize = 4;

/// Looks that are fixed before anything is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// Over how many arms the error is divided.
    pub arms: usize,
    /// In order; the last has the most seeds that are trained.
    pub looks: Vec<PlannedLook>,
}

/// One look of a design.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedLook {
    /// How many seeds it has.
    pub seeds: usize,
    /// The level of each arm's tests at this look.
    pub level: f64,
}

/// A look that happened: what a table said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// The seeds that the study had or, of a design, that the look is of.
    pub seeds: usize,
    /// The verdict of each arm that had an interval.
    pub arms: BTreeMap<String, Verdict>,
}

/// How the number of seeds came about, where it was changed after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterLook {
    /// There were fewer seeds, and a table of them.
    Extended,
    /// There were more seeds, and a table of them.
    Reduced,
}

impl Design {
    /// Looks at 4, 8, 16, … and finally `seeds` seeds.
    pub fn new(seeds: usize, arms: usize) -> Self {
        let doubled = std::iter::successors(Some(FIRST_LOOK), |seeds| seeds.checked_mul(2));
        let looks: Vec<usize> = doubled.take_while(|&look| look < seeds).chain([seeds]).collect();
        let all: usize = looks.iter().sum();
        let arms = arms.max(1);
        let level = |seeds: usize| LEVEL / arms as f64 * seeds as f64 / all as f64;
        Self {
            arms,
            looks: looks.into_iter().map(|seeds| PlannedLook { seeds, level: level(seeds) }).collect(),
        }
    }

    /// What people read.
    pub fn text(&self) -> String {
        let seeds: Vec<String> = self.looks.iter().map(|look| look.seeds.to_string()).collect();
        let arms = if self.arms == 1 { "1 arm".to_owned() } else { format!("{} arms", self.arms) };
        format!("looks at {} seeds over {arms}", seeds.join(", "))
    }
}

impl AfterLook {
    /// How an arm's number of seeds came about, given the looks so far.
    pub fn of(arm: &str, seeds: usize, looks: &[Look]) -> Option<Self> {
        let mut others = looks.iter().filter(|look| look.arms.contains_key(arm) && look.seeds != seeds);
        let fewer = others.clone().any(|look| look.seeds < seeds);
        fewer.then_some(Self::Extended).or(others.next().map(|_| Self::Reduced))
    }

    /// Its words in a table.
    pub fn text(self) -> &'static str {
        match self {
            Self::Extended => "extended after a look",
            Self::Reduced => "reduced after a look",
        }
    }
}

#[cfg(test)]
#[allow(clippy::print_stdout)] // the rates that the documents quote, with `--nocapture`
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Gamma, StandardNormal, StudentT};

    use super::*;
    use crate::statistics::{Critical, Decision, Intervals, mean_and_sd};

    #[test]
    fn looks_double_and_their_levels_add_up_to_five_percent() {
        let seeds =
            |max: usize| Design::new(max, 2).looks.iter().map(|look| look.seeds).collect::<Vec<usize>>();
        assert_eq!(seeds(32), [4, 8, 16, 32]);
        assert_eq!(seeds(20), [4, 8, 16, 20]);
        assert_eq!(seeds(17), [4, 8, 16, 17]);
        assert_eq!(seeds(4), [4]);
        assert_eq!(seeds(3), [3]);
        for (max, arms) in [(32, 1), (32, 3), (20, 2), (2, 7)] {
            let design = Design::new(max, arms);
            let spent: f64 = design.looks.iter().map(|look| look.level).sum();
            assert!((spent * arms as f64 - LEVEL).abs() < 1e-12, "{max} {arms}: {spent}");
        }
    }

    #[test]
    fn more_seeds_after_a_table_are_an_extension_and_fewer_a_reduction() {
        let look = |seeds: usize| Look {
            seeds,
            arms: [("off".to_owned(), Verdict::Undecided { seeds_needed: None })].into(),
        };
        assert_eq!(AfterLook::of("off", 5, &[]), None);
        assert_eq!(AfterLook::of("off", 5, &[look(5)]), None);
        assert_eq!(AfterLook::of("off", 8, &[look(5)]), Some(AfterLook::Extended));
        assert_eq!(AfterLook::of("off", 5, &[look(5), look(8)]), Some(AfterLook::Reduced));
        assert_eq!(AfterLook::of("off", 6, &[look(8), look(5)]), Some(AfterLook::Extended));
        assert_eq!(AfterLook::of("other", 8, &[look(5)]), None);
    }

    /// How single runs scatter, with a standard deviation of about 1.
    #[derive(Debug, Clone, Copy)]
    enum Scatter {
        Normal,
        /// Three degrees of freedom: a seed in a hundred lies four standard deviations off.
        HeavyTailed,
        /// Arms by a gamma distribution of skewness 1, the base by one with 0.7 of its spread, so that differences are skewed.
        Skewed,
    }

    impl Scatter {
        fn draw(self, rng: &mut ChaCha8Rng, base: bool) -> f64 {
            match self {
                Self::Normal => StandardNormal.sample(rng),
                Self::HeavyTailed => StudentT::new(3.0).unwrap().sample(rng) / 3f64.sqrt(),
                Self::Skewed => {
                    let centred: f64 = (Gamma::new(4.0, 1.0).unwrap().sample(rng) - 4.0) / 2.0;
                    if base { 0.7 * centred } else { centred }
                }
            }
        }
    }

    const STUDIES: usize = 20_000;
    const DELTA: f64 = 1.0;
    const ARMS: usize = 3;

    /// The share of simulated studies with at least one wrong verdict, where every arm's true difference is `truth`, 0 or one that
    /// is no equivalence, and the looks have these levels.
    fn wrong(scatter: Scatter, truth: f64, looks: &[PlannedLook], seed: u64) -> f64 {
        let mut rng = alexnet_ops::Key::new([seed, 0, 0, 0]).rng();
        let critical: Vec<Critical> =
            looks.iter().map(|look| Critical::new(look.level, look.seeds)).collect();
        let most = looks.last().unwrap().seeds;
        let is_wrong = |decision: Decision| match decision {
            Decision::Larger => truth <= 0.0,
            Decision::Smaller => truth >= 0.0,
            Decision::Within => truth.abs() >= DELTA,
        };
        let mut studies = 0;
        for _ in 0..STUDIES {
            let base: Vec<f64> = (0..most).map(|_| scatter.draw(&mut rng, true)).collect();
            // Every arm is drawn whole, so that a decision does not change what the next arm draws.
            let any = (0..ARMS).filter(|_| {
                let pairs: Vec<f64> =
                    base.iter().map(|base| truth + scatter.draw(&mut rng, false) - base).collect();
                let first = looks.iter().zip(&critical).find_map(|(look, &critical)| {
                    let (mean, sd) = mean_and_sd(&pairs[..look.seeds]);
                    Intervals::of(mean, sd?, look.seeds, critical).decide(DELTA)
                });
                first.is_some_and(is_wrong)
            });
            studies += usize::from(any.count() > 0);
        }
        studies as f64 / STUDIES as f64
    }

    /// Each rate has a standard error of 0.0015.
    #[test]
    fn a_design_is_wrong_in_at_most_five_of_a_hundred_studies() {
        let design = Design::new(32, ARMS);
        for scatter in [Scatter::Normal, Scatter::HeavyTailed, Scatter::Skewed] {
            for (seed, truth) in [0.0, DELTA, -DELTA].into_iter().enumerate() {
                let rate = wrong(scatter, truth, &design.looks, seed as u64);
                println!("{scatter:?}, true difference {truth}: {:.2} %", 100.0 * rate);
                assert!(
                    rate <= LEVEL,
                    "{scatter:?}, true difference {truth}: wrong in {rate} of the studies"
                );
            }
        }
    }

    /// What the design is for: the same looks, each at 5 % for each arm, and those of one arm alone.
    #[test]
    fn looking_each_time_at_95_percent_is_wrong_far_more_often() {
        let naive: Vec<PlannedLook> =
            Design::new(32, ARMS).looks.iter().map(|look| PlannedLook { level: LEVEL, ..*look }).collect();
        let rate = wrong(Scatter::Normal, 0.0, &naive, 0);
        println!("three arms, each look at 95 %: {:.2} %", 100.0 * rate);
        assert!(rate > 0.25, "{rate}");
        let arms_alone: Vec<PlannedLook> =
            naive.iter().map(|look| PlannedLook { level: LEVEL / ARMS as f64, ..*look }).collect();
        let rate = wrong(Scatter::Normal, 0.0, &arms_alone, 0);
        println!("divided over arms and not over looks: {:.2} %", 100.0 * rate);
        assert!((0.09..0.16).contains(&rate), "{rate}");
    }

    #[test]
    fn a_fixed_number_of_seeds_is_wrong_in_at_most_five_of_a_hundred_studies() {
        let fixed = [PlannedLook { seeds: 5, level: LEVEL / ARMS as f64 }];
        for (seed, truth) in [0.0, DELTA].into_iter().enumerate() {
            let rate = wrong(Scatter::Normal, truth, &fixed, seed as u64);
            println!("5 seeds, true difference {truth}: {:.2} %", 100.0 * rate);
            // Three standard errors: the rate at 0 is 5 % but for the correlation of the arms.
            assert!(rate <= LEVEL + 0.0045, "true difference {truth}: wrong in {rate} of the studies");
        }
    }
}
