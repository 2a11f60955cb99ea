//! The number of seeds that would decide the undecided arms of an ablation.

use serde::Serialize;

use crate::report::{ArmReport, Report};
use alexnet_study::Study;
use alexnet_study::power::{seeds_needed, spread};
use alexnet_study::statistics::{LEVEL, Verdict};

/// The effect of more seeds, for each arm.
#[derive(Debug, Serialize)]
pub struct Power {
    ablation: String,
    scale: String,
    delta: f64,
    /// The same, if it is that of every arm.
    #[serde(skip)]
    common_delta: Option<f64>,
    unit: &'static str,
    /// How to add seeds without invalidating the verdict.
    advice: String,
    arms: Vec<ArmPower>,
}

/// One arm other than the base. The numbers of seeds decide with a probability of 80 %; absent: over 1000.
#[derive(Debug, Serialize)]
struct ArmPower {
    name: String,
    not_applicable: bool,
    paper: Option<f64>,
    seeds: usize,
    difference: Option<f64>,
    sd: Option<f64>,
    verdict: Option<Verdict>,
    /// The number of seeds if the true mean and standard deviation are the observed ones.
    seeds_needed: Option<usize>,
    /// The same with the bounds of the 80 % confidence interval of the standard deviation.
    seeds_needed_between: Option<(Option<usize>, Option<usize>)>,
    /// The number of seeds that detects the paper's difference, if it is the true one, at the observed
    /// standard deviation.
    seeds_needed_for_paper: Option<usize>,
}

impl Power {
    /// Computes the number of seeds that each comparison of a report needs.
    pub fn of(study: &Study, report: &Report) -> Self {
        let arms = report.arms.iter().skip(1).map(|arm| ArmPower::of(arm, report.delta_of(arm)));
        Self {
            ablation: report.ablation.clone(),
            scale: report.scale.clone(),
            delta: study.delta,
            common_delta: report.common_delta(),
            unit: report.unit,
            advice: advice(study),
            arms: arms.collect(),
        }
    }

    /// Returns the text for people.
    pub fn text(&self) -> String {
        let needed = |seeds: Option<usize>| seeds.map_or("over 1000".to_owned(), |seeds| seeds.to_string());
        let mut rows =
            vec![["arm", "seeds", "difference", "spread", "decided by", "by the paper's"].map(str::to_owned)];
        for arm in &self.arms {
            let number = |value: Option<f64>, sign: bool| match (value, sign) {
                (Some(value), true) => format!("{value:+.2}"),
                (Some(value), false) => format!("{value:.2}"),
                (None, _) => "-".to_owned(),
            };
            let unknown = arm.verdict.and_then(Verdict::unknown);
            let decided = match (arm.verdict, arm.sd) {
                (Some(Verdict::Undecided { because: Some(why), .. }), _) => why.text().to_owned(),
                (Some(Verdict::Undecided { .. }), Some(_)) => {
                    let between = arm.seeds_needed_between.map_or(String::new(), |(low, high)| {
                        format!(" ({} to {})", needed(low), needed(high))
                    });
                    needed(arm.seeds_needed) + &between
                }
                _ if arm.not_applicable => "not applicable".to_owned(),
                (Some(Verdict::NotCompared), _) => "not compared".to_owned(),
                (Some(Verdict::Undecided { .. }) | None, _) => "two seeds at least".to_owned(),
                _ => "decided".to_owned(),
            };
            let paper = match (arm.paper, arm.sd) {
                (Some(_), Some(_)) if unknown.is_none() => needed(arm.seeds_needed_for_paper),
                _ => "-".to_owned(),
            };
            rows.push([
                arm.name.clone(),
                arm.seeds.to_string(),
                number(arm.difference, true),
                number(arm.sd, false),
                decided,
                paper,
            ]);
        }
        let widths: Vec<usize> = (0..6)
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = format!("`{}` at scale `{}`, {}\n\n", self.ablation, self.scale, self.unit);
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text += &format!(
            "\nSeeds with which the adjusted interval excludes 0, or the one for equivalence lies within ±{}, with\n\
             a probability of 80 %, if the true mean and spread are those seen; in brackets, for the spreads\n\
             that the seeds so far leave likely. Last column: to find the paper's difference, if it is the true one.\n\n{}\n",
            self.common_delta.map_or("δ".to_owned(), |delta| delta.to_string()),
            self.advice
        );
        text
    }
}

/// Returns the advice. Adding seeds because these did not decide is a look, and a 95 % interval after a look
/// does not have 95 % coverage.
fn advice(study: &Study) -> String {
    match &study.design {
        Some(design) => format!(
            "This study has {}, fixed in advance: the same command goes on to the next. More seeds than the last\n\
             look has would be a look by hand, which its levels do not pay for.",
            design.text()
        ),
        None => format!(
            "This table is a look. Adding seeds by hand because it did not decide is optional stopping: the verdict\n\
             is then marked `extended after a look`. `experiments ablation {} --until-decided --seed-base N` fixes its\n\
             looks in advance and divides the error over them, on seeds that no table has shown.",
            study.ablation
        ),
    }
}

impl ArmPower {
    fn of(arm: &ArmReport, delta: f64) -> Self {
        let difference = arm.difference.as_ref();
        let level = difference.map_or(LEVEL, |found| found.level);
        let (mean, sd) = (difference.map(|found| found.mean), difference.and_then(|found| found.sd));
        let seeds = difference.map_or(0, |found| found.seeds);
        let needed = |sd: f64| seeds_needed(mean.unwrap_or(0.0), sd, delta, level);
        let known_sd = sd.filter(|_| arm.verdict.and_then(Verdict::unknown).is_none());
        Self {
            name: arm.name.clone(),
            not_applicable: arm.not_applicable.is_some(),
            paper: arm.paper,
            seeds,
            difference: mean,
            sd,
            verdict: arm.verdict,
            seeds_needed: known_sd.and_then(needed),
            seeds_needed_between: known_sd
                .and_then(|sd| spread(sd, seeds))
                .map(|(low, high)| (needed(low), needed(high))),
            seeds_needed_for_paper: known_sd
                .zip(arm.paper)
                .and_then(|(sd, paper)| seeds_needed(paper, sd, 0.0, level)),
        }
    }
}
