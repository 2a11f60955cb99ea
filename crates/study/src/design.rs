//! Looks at an ablation's results: those of a design that is fixed in advance, and those that took place.
//!
//! All verdicts of an ablation together have an error probability of at most 5 %. Each look that can give a verdict
//! spends a part of it. A design divides it in advance (Bonferroni): evenly over the arms, and over the looks
//! in proportion to their seeds, because t intervals of few seeds depend most on the shape of the
//! distribution. The bound holds for any dependence between arms and looks. At each look, an arm can be wrong
//! in only one way. If the true difference is 0, the error is to find a difference. If it is ±delta or more,
//! the error is to find an equivalence or the opposite sign, and both require the same one-sided t test to
//! reject at the look's level.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::statistics::{LEVEL, Verdict};

/// The number of seeds of a design's first look. Each later look has twice as many.
const FIRST_LOOK: usize = 4;

/// Looks that are fixed before training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// The number of arms over which the error is divided.
    pub arms: usize,
    /// The looks in order. The last one has all seeds.
    pub looks: Vec<PlannedLook>,
}

/// One look of a design.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedLook {
    /// The number of seeds.
    pub seeds: usize,
    /// The level of each arm's tests at this look.
    pub level: f64,
}

/// A look that took place: the verdicts of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// The number of seeds of the study or, with a design, of the look.
    pub seeds: usize,
    /// The verdict of each arm that had an interval.
    pub arms: BTreeMap<String, Verdict>,
}

/// How the number of seeds was changed after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterLook {
    /// An earlier table had fewer seeds.
    Extended,
    /// An earlier table had more seeds.
    Reduced,
}

impl Design {
    /// Creates a design with looks at 4, 8, 16, … and finally `seeds` seeds.
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

    /// Returns the design as text.
    pub fn text(&self) -> String {
        let seeds: Vec<String> = self.looks.iter().map(|look| look.seeds.to_string()).collect();
        let arms = if self.arms == 1 { "1 arm".to_owned() } else { format!("{} arms", self.arms) };
        format!("looks at {} seeds over {arms}", seeds.join(", "))
    }
}

impl AfterLook {
    /// Returns how an arm's number of seeds changed after the looks so far.
    pub fn of(arm: &str, seeds: usize, looks: &[Look]) -> Option<Self> {
        let mut others = looks.iter().filter(|look| look.arms.contains_key(arm) && look.seeds != seeds);
        let fewer = others.clone().any(|look| look.seeds < seeds);
        fewer.then_some(Self::Extended).or(others.next().map(|_| Self::Reduced))
    }

    /// Returns the text for a table.
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
    use crate::critical::Critical;
    use crate::statistics::{Decision, Intervals, mean_and_sd};

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
            arms: [("off".to_owned(), Verdict::Undecided { seeds_needed: None, because: None })].into(),
        };
        assert_eq!(AfterLook::of("off", 5, &[]), None);
        assert_eq!(AfterLook::of("off", 5, &[look(5)]), None);
        assert_eq!(AfterLook::of("off", 8, &[look(5)]), Some(AfterLook::Extended));
        assert_eq!(AfterLook::of("off", 5, &[look(5), look(8)]), Some(AfterLook::Reduced));
        assert_eq!(AfterLook::of("off", 6, &[look(8), look(5)]), Some(AfterLook::Extended));
        assert_eq!(AfterLook::of("other", 8, &[look(5)]), None);
    }

    /// The distribution of single runs, with a standard deviation of about 1.
    #[derive(Debug, Clone, Copy)]
    enum Scatter {
        Normal,
        /// A t distribution with three degrees of freedom: one seed in a hundred is four standard deviations
        /// off.
        HeavyTailed,
        /// Gamma distributions of skewness 1, where the base has 0.7 times the spread of the arms, so that
        /// differences are skewed.
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

    /// Returns the fraction of simulated studies with at least one wrong verdict. `truth` is every arm's true
    /// difference: 0, or one that is not an equivalence. `looks` has the levels.
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
            // All values of an arm are drawn, so that a decision does not change the draws of the next arm.
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

    /// Shows why the design is needed: the same looks, each at 5 % for each arm, and those of a single arm.
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
            // The margin is three standard errors. At 0, the rate is 5 % up to the correlation of the arms.
            assert!(rate <= LEVEL + 0.0045, "true difference {truth}: wrong in {rate} of the studies");
        }
    }
}
