use serde_json::Value;

use super::*;
use crate::power::{power, power_equivalence, spread};
use statrs::distribution::{ContinuousCDF, Normal};

fn goldens() -> Value {
    serde_json::from_str(include_str!("../../../../tests/golden/statistics.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Compares with a tolerance. statrs and scipy invert the same distributions by different series and
/// agree to about 1e-10.
#[track_caller]
fn close(ours: f64, golden: &Value, tolerance: f64) {
    let golden = golden.as_f64().unwrap();
    assert!((ours - golden).abs() <= tolerance * golden.abs().max(1e-3), "{ours} is not {golden}");
}

#[test]
fn intervals_and_tests_are_scipys_and_statsmodels() {
    for case in goldens()["differences"].as_array().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let values = numbers(&case["values"]);
        let found = Difference::of(&values, number("delta"), number("level")).unwrap();
        for (ours, golden) in [
            (found.interval_95.unwrap(), &case["interval_95"]),
            (found.interval_90.unwrap(), &case["interval_90"]),
            (found.interval_adjusted.unwrap(), &case["interval_adjusted"]),
            (found.interval_adjusted_equivalence.unwrap(), &case["interval_adjusted_equivalence"]),
        ] {
            close(ours.0, &golden[0], 1e-7);
            close(ours.1, &golden[1], 1e-7);
        }
        close(found.p.unwrap(), &case["p"], 1e-7);
        close(found.p_equivalence.unwrap(), &case["p_equivalence"], 1e-7);
        if let Some(golden) = case.get("p_sign_flip") {
            close(sign_flip(&values), golden, 1e-12);
        }
        if let Some(golden) = case.get("bootstrap") {
            // The two bootstraps of 10,000 resamples have percentiles that agree to a few hundredths of
            // the spread.
            let (low, high) = found.bootstrap.unwrap();
            let width = golden[1].as_f64().unwrap() - golden[0].as_f64().unwrap();
            assert!((low - golden[0].as_f64().unwrap()).abs() < 0.03 * width, "{low} {golden}");
            assert!((high - golden[1].as_f64().unwrap()).abs() < 0.03 * width, "{high} {golden}");
        } else {
            assert_eq!(found.bootstrap, None);
        }
    }
}

#[test]
fn holms_correction_is_statsmodels() {
    for case in goldens()["holm"].as_array().unwrap() {
        let (ours, golden) = (holm(&numbers(&case["p"])), case["corrected"].as_array().unwrap());
        assert_eq!(ours.len(), golden.len());
        ours.iter().zip(golden).for_each(|(ours, golden)| close(*ours, golden, 1e-12));
    }
}

#[test]
fn power_is_statsmodels_and_equivalence_is_counted() {
    for case in goldens()["power"].as_array().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let seeds = number("seeds") as usize;
        let (mean, sd, level) = (number("mean"), number("sd"), number("level"));
        close(power(mean, sd, seeds, level), &case["power"], 1e-6);
        // The golden values come from 200,000 simulated samples, with a standard error of at most 0.0011.
        let equivalence = power_equivalence(mean, sd, seeds, number("delta"), level);
        assert!((equivalence - number("power_equivalence")).abs() < 0.005, "{equivalence} {case}");
    }
    for case in goldens()["seeds"].as_array().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let found = seeds_needed(number("mean"), number("sd"), 0.0, number("level"));
        assert_eq!(found, case["seeds"].as_u64().map(|seeds| seeds as usize), "{case}");
    }
}

#[test]
fn mcnemars_test_is_statsmodels() {
    for case in goldens()["mcnemar"].as_array().unwrap() {
        let count = |key: &str| case[key].as_u64().unwrap() as usize;
        let (first, second) = (count("first_alone"), count("second_alone"));
        let right =
            |alone: usize, other: usize| [vec![true; alone], vec![false; other], vec![true; 9]].concat();
        let (ours, theirs) = (right(first, second), [vec![false; first], vec![true; second + 9]].concat());
        let found = McNemar::of(&ours, &theirs);
        assert_eq!((found.first_alone, found.second_alone), (first as u64, second as u64));
        close(found.p, &case["p"], 1e-7);
    }
}

#[test]
fn sign_flips_are_off_where_they_cannot_come_out() {
    let (few, many) = ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let mut differences =
        [Difference::of(&few, 0.3, LEVEL).unwrap(), Difference::of(&many, 0.3, LEVEL).unwrap()];
    let [first, second] = &mut differences;
    correct(&mut [(first, &few), (second, &many)]);
    assert_eq!(differences[0].sign_flip, Some(SignFlip { smallest: 0.0625, p: None }));
    assert_eq!(differences[1].sign_flip, Some(SignFlip { smallest: 0.015625, p: Some(0.015625) }));
    assert!(differences[0].p_holm.unwrap() > differences[0].p.unwrap() - 1e-15);
}

#[test]
fn many_seeds_flip_random_signs() {
    let values: Vec<f64> = (0..20).map(|at| f64::from(at % 5) - 1.2).collect();
    let exact = {
        // The same test, by enumeration of all 2^20 assignments.
        let seen: f64 = values.iter().sum::<f64>().abs() - 1e-9;
        let flipped = |signs: u64| {
            values.iter().enumerate().map(|(at, v)| if signs >> at & 1 == 1 { -v } else { *v }).sum::<f64>()
        };
        (0..1u64 << 20).filter(|&signs| flipped(signs).abs() >= seen).count() as f64 / (1u64 << 20) as f64
    };
    // 65,536 draws of a fraction of a few percent have a standard error of 0.0008.
    assert!((sign_flip(&values) - exact).abs() < 0.004, "{} {exact}", sign_flip(&values));
    // A hundred seeds, more than a word has bits; the sum is nearly normal.
    let hundred: Vec<f64> = (0..100).map(|at| f64::from(at % 7) - 2.5).collect();
    let spread = hundred.iter().map(|value| value * value).sum::<f64>().sqrt();
    let normal = 2.0 * Normal::standard().sf(hundred.iter().sum::<f64>().abs() / spread);
    assert!((sign_flip(&hundred) - normal).abs() < 0.01, "{} {normal}", sign_flip(&hundred));
}

#[test]
fn crossing_images_and_seeds_widens_the_interval() {
    // For each of four seeds, the base is right about images 0 to 59 of 100, the arm about 0 to 54.
    let right = |until: usize| (0..100).map(|image| image < until).collect::<Vec<bool>>();
    let same = vec![(right(60), right(55)); 4];
    let (low, high) = crossed_bootstrap(&same).unwrap();
    // Only images vary: a count of 5 in 100 has a standard deviation of 2.2 points.
    assert!((low - 1.0).abs() <= 1.0 && (high - 10.0).abs() <= 1.0, "{low} {high}");
    let mixed: Vec<_> = [45, 65, 50, 60].map(|arm| (right(60), right(arm))).into();
    let wider = crossed_bootstrap(&mixed).unwrap();
    assert!(wider.0 < low && wider.1 > high, "{wider:?}");
    assert_eq!(crossed_bootstrap(&same[..1]), None);
    assert_eq!(crossed_bootstrap(&[same[0].clone(), (right(60), vec![true; 3])]), None);
}

#[test]
fn verdicts_follow_the_intervals() {
    let difference = Difference::of(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.3, LEVEL).unwrap();
    assert_eq!(difference.verdict(1, 0.3), Verdict::SameDirection);
    assert_eq!(difference.verdict(-1, 0.3), Verdict::OppositeDirection);
    assert_eq!(difference.verdict(0, 0.3), Verdict::Differs { larger: true });
    let small = Difference::of(&[0.05, -0.05, 0.02, -0.03, 0.01], 0.3, LEVEL).unwrap();
    assert_eq!(small.verdict(1, 0.3), Verdict::SmallerThanDelta);
    let noisy = Difference::of(&[1.0, -0.5, 0.8, 0.2, -0.4], 0.3, LEVEL).unwrap();
    let Verdict::Undecided { seeds_needed: Some(n), .. } = noisy.verdict(1, 0.3) else { panic!() };
    // sd 0.672, mean 0.22: ((1.96 + 0.84) · 0.672 / 0.22)² is about 73, and slightly more for small n.
    assert!((73..80).contains(&n), "{n}");
    let one = Difference::of(&[5.0], 0.3, LEVEL).unwrap();
    assert_eq!((one.interval_95, one.p), (None, None));
    assert_eq!(one.verdict(1, 0.3), Verdict::Undecided { seeds_needed: None, because: None });
    assert_eq!(Difference::of(&[], 0.3, LEVEL), None);
    // Equal differences do not measure the spread. One of nine images each: percentages round differently.
    for pairs in [[0.0, 0.0], [0.5, 0.5], [200.0 / 9.0 - 100.0 / 9.0, 400.0 / 9.0 - 300.0 / 9.0]] {
        let equal = Difference::of(&pairs, 0.3, LEVEL).unwrap();
        assert_eq!((equal.p, equal.p_equivalence), (None, None), "{pairs:?}");
        let verdict = equal.verdict(1, 0.3);
        assert_eq!(verdict.text(0.3, 2), "undecided: equal differences", "{pairs:?}");
    }
}

/// An arm with equal differences has no p, and counts in the family all the same.
#[test]
fn the_family_of_tests_does_not_depend_on_what_was_found() {
    let pairs = [vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![0.5; 6]];
    let mut found = pairs.each_ref().map(|pairs| Difference::of(pairs, 0.3, LEVEL / 2.0).unwrap());
    let [one, equal] = &mut found;
    correct(&mut [(one, &pairs[0]), (equal, &pairs[1])]);
    assert_eq!(found[0].p_holm, found[0].p.map(|p| 2.0 * p));
    // Six seeds cannot reach p < 2/64 = 0.031, and the level of two arms is 0.025.
    assert_eq!(found[0].sign_flip.map(|flip| flip.p), Some(None));
    assert_eq!((found[1].p_holm, found[1].sign_flip), (None, None));
}

/// Values of runs that did not reach their target are lower bounds.
#[test]
fn lower_bounds_decide_only_that_a_difference_is_large() {
    let censored = |pairs: &[f64], censoring: Censoring| {
        let difference = Difference::of(pairs, 0.3, LEVEL).unwrap().censored(censoring);
        assert_eq!(difference.p_equivalence, None);
        assert_eq!(difference.p.is_some(), censoring == Censoring::Arm);
        difference.verdict(1, 0.3)
    };
    let (large, small, negative) = ([1.0, 2.0, 3.0, 4.0, 5.0], [0.05, -0.05, 0.02], [-1.0, -1.2, -0.9]);
    assert_eq!(censored(&large, Censoring::Arm), Verdict::SameDirection);
    for (pairs, censoring) in [
        (&small[..], Censoring::Arm),
        (&negative, Censoring::Arm),
        (&large, Censoring::Base),
        (&small, Censoring::Base),
    ] {
        let verdict = censored(pairs, censoring);
        assert_eq!(verdict.text(0.3, 3), "undecided: target not reached", "{pairs:?} {censoring:?}");
        assert!(!verdict.is_decided());
    }
}

/// The p value of the paired t test is 0.036: below 5 %, but above 2.5 %.
#[test]
fn verdicts_have_the_level_of_their_arm() {
    let pairs = [0.2, 1.3, 0.9, 1.9, 0.4, 0.1];
    let (alone, of_two) =
        (Difference::of(&pairs, 0.3, LEVEL).unwrap(), Difference::of(&pairs, 0.3, LEVEL / 2.0).unwrap());
    assert!((0.03..0.05).contains(&alone.p.unwrap()), "{alone:?}");
    assert_eq!(alone.verdict(1, 0.3), Verdict::SameDirection);
    let Verdict::Undecided { seeds_needed: Some(n), .. } = of_two.verdict(1, 0.3) else {
        panic!("{of_two:?}")
    };
    assert!(n > seeds_needed(alone.mean, alone.sd.unwrap(), 0.3, LEVEL).unwrap());
    // The reported 95 % interval keeps its level, while the verdict uses another.
    assert_eq!(of_two.interval_95, alone.interval_95);
    assert_eq!(of_two.interval_adjusted_equivalence, alone.interval_95);
    assert!(of_two.interval_adjusted.unwrap().0 < 0.0 && of_two.is_adjusted() && !alone.is_adjusted());
    let small = [0.2, -0.15, 0.22, -0.1, 0.19, 0.02];
    let within = |level: f64| Difference::of(&small, 0.2, level).unwrap().verdict(1, 0.2);
    assert_eq!(within(LEVEL), Verdict::SmallerThanDelta);
    assert!(!within(LEVEL / 10.0).is_decided());
}

#[test]
fn a_spread_from_few_seeds_is_uncertain() {
    // chi-squared, 2 degrees: 0.2107 and 4.6052.
    let (low, high) = spread(1.0, 3).unwrap();
    assert!((low - 0.659).abs() < 1e-3 && (high - 3.081).abs() < 1e-3, "{low} {high}");
    assert_eq!(spread(1.0, 1), None);
}

#[test]
fn false_discovery_rates_are_those_of_the_paper_of_benjamini_and_hochberg() {
    // Their example, section 3.2: at 5 %, the first four of 15 are discoveries.
    let p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
        0.6528, 0.7590, 1.0,
    ];
    let rates = false_discovery(&p);
    assert_eq!(rates.iter().filter(|rate| **rate <= 0.05).count(), 4);
    assert!(
        (rates[3] - 0.0095 * 15.0 / 4.0).abs() < 1e-12 && rates.windows(2).all(|pair| pair[0] <= pair[1])
    );
    let reversed: Vec<f64> = p.iter().rev().copied().collect();
    assert_eq!(false_discovery(&reversed).into_iter().rev().collect::<Vec<f64>>(), rates);
    assert!(false_discovery(&[]).is_empty());
}
