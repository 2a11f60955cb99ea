//! An audit's results: one comparison for each statement, as JSON, text and a page.

mod markdown;
mod page;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use alexnet_study::ablation::Quantity;
use alexnet_study::audit::{Audit, Direction, Statement};
use alexnet_study::registration::Registration;
use alexnet_study::statistics::{LEVEL, Verdict, false_discovery};
use serde::{Deserialize, Serialize};

use crate::report::{ArmReport, Report};
use crate::{ReportError, files};

/// The results of an audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditReport {
    /// The audit's name.
    pub audit: String,
    /// A description in one sentence.
    pub about: String,
    /// The version of the results of its runs.
    pub results: u32,
    /// The settings, by the name of their scale.
    pub settings: BTreeMap<String, SettingReport>,
    /// The registrations, by their name.
    pub designs: BTreeMap<String, Registration>,
    /// The statements.
    pub statements: Vec<StatementReport>,
}

/// The data, the backends and the time of the runs of a setting.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SettingReport {
    /// The data set's name.
    pub data: String,
    /// The data set's checksum.
    pub checksum: String,
    /// The backends that trained.
    pub backends: BTreeSet<String>,
    /// The number of runs with a result.
    pub runs: usize,
    /// The time of training, added over runs, in hours.
    pub hours: f64,
}

/// The file of a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesignFile {
    /// Its name.
    pub name: String,
    /// The commit that last changed it, if the program knows it.
    pub commit: Option<String>,
}

/// A statement with the comparison that tests it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementReport {
    /// The statement's name.
    pub id: String,
    /// The section or figure of the paper.
    pub section: String,
    /// The statement, in this project's words.
    pub text: String,
    /// The paper's figure and its data, in words.
    pub paper: String,
    /// The paper's figure relative to this base, in the quantity's unit.
    pub paper_difference: Option<f64>,
    /// Why it is not tested.
    pub untested: Option<String>,
    /// The comparison. Absent: it is not tested.
    #[serde(flatten)]
    pub comparison: Option<Comparison>,
}

/// The comparison of an arm with a base. Differences are the arm's values minus the base's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The scale's name.
    pub setting: String,
    /// The ablation's name.
    pub ablation: String,
    /// The arm's name.
    pub arm: String,
    /// The base's name.
    pub base: String,
    /// The registration.
    pub design: DesignFile,
    /// The quantity.
    pub quantity: Quantity,
    /// The unit of the quantity's differences.
    pub unit: String,
    /// The direction of the statement.
    pub direction: Direction,
    /// The difference that counts as none.
    pub delta: f64,
    /// The number of arms over which the level is divided: those that apply.
    #[serde(skip)]
    pub(crate) compared: usize,
    /// The number of seeds of which both runs have a value.
    pub seeds: usize,
    /// The number of registered seeds; once complete, of the look that decided.
    pub registered: usize,
    /// The number of seeds that are left out because a run diverged, or because the base did not reach the target.
    pub left_out: usize,
    /// Whether all registered runs ended. Before, there is no verdict.
    pub complete: bool,
    /// The values of the base and of the arm, one a seed.
    pub values: [Vec<Option<f64>>; 2],
    /// Mean and standard deviation of the base.
    pub base_value: Option<[f64; 2]>,
    /// Mean and standard deviation of the arm.
    pub arm_value: Option<[f64; 2]>,
    /// The mean difference.
    pub difference: Option<f64>,
    /// Its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// The interval that gives the verdict, adjusted for the arms and looks of the registration.
    pub adjusted_interval: Option<[f64; 2]>,
    /// The standard deviation of the differences.
    pub sd: Option<f64>,
    /// The correlation of the arm's values with the base's over seeds. Pairs help if it is positive.
    pub correlation: Option<f64>,
    /// The p value of the two-sided paired t test.
    pub p: Option<f64>,
    /// The level of the verdict.
    pub level: f64,
    /// The false discovery rate over the audit at which this difference would just count (Benjamini & Hochberg 1995).
    pub false_discovery_rate: Option<f64>,
    /// The probability of detecting twice `delta`, by the pilot's spread.
    pub power: f64,
    /// The mean errors on training images, in evaluation mode, of base and arm, in percent.
    pub training_error: Option<[f64; 2]>,
    /// `same direction`, `opposite direction`, `smaller than delta` or `undecided`.
    pub verdict: String,
}

impl AuditReport {
    /// Creates the results from the reports of registrations, which may lack some.
    pub fn of(
        audit: &Audit,
        designs: &BTreeMap<String, Registration>,
        commits: &BTreeMap<String, String>,
        reports: &BTreeMap<String, Report>,
    ) -> Self {
        let statement = |statement: &Statement| {
            let design = statement.design.as_ref().and_then(|name| designs.get(name));
            let comparison = design.zip(statement.direction).and_then(|(design, direction)| {
                let report = reports.get(&design.name)?;
                let commit = commits.get(&design.name).cloned();
                let file = DesignFile { name: design.name.clone(), commit };
                Comparison::of(report, design, file, &statement.arm, direction)
            });
            let missing =
                (comparison.is_none() && statement.untested.is_none()).then(|| "not run yet".to_owned());
            StatementReport {
                id: statement.id.clone(),
                section: statement.section.clone(),
                text: statement.text.clone(),
                paper: statement.paper.clone(),
                paper_difference: statement.paper_difference,
                untested: statement.untested.clone().or(missing),
                comparison,
            }
        };
        let mut settings: BTreeMap<String, SettingReport> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for report in reports.values() {
            let setting = settings.entry(report.scale.clone()).or_default();
            (setting.data, setting.checksum) = (report.data.clone(), report.checksum.clone());
            for run in report.arms.iter().flat_map(|arm| &arm.runs).filter(|run| run.failure.is_none()) {
                setting.backends.extend(run.backend.clone());
                if seen.insert(run.folder.as_str()) {
                    setting.runs += 1;
                    setting.hours += run.train_seconds.unwrap_or(0.0) / 3600.0;
                }
            }
        }
        let mut found = Self {
            audit: audit.name.clone(),
            about: audit.about.clone(),
            results: alexnet_train::RESULTS,
            settings,
            designs: designs.clone(),
            statements: audit.statements.iter().map(statement).collect(),
        };
        found.correct();
        found
    }

    /// Computes the false discovery rates over all statements that have a verdict. With looks, a p value is multiplied as
    /// the design's level is divided over them, since training stopped at the look that decided.
    fn correct(&mut self) {
        let of = |comparison: &Comparison| {
            let looks = LEVEL / comparison.compared.max(1) as f64 / comparison.level;
            Some((comparison.p? * looks).min(1.0))
        };
        let tested = self.statements.iter_mut().filter_map(|statement| statement.comparison.as_mut());
        let mut tested: Vec<(f64, &mut Comparison)> =
            tested.filter_map(|comparison| Some((of(comparison)?, comparison))).collect();
        let p: Vec<f64> = tested.iter().map(|(p, _)| *p).collect();
        for ((_, comparison), rate) in tested.iter_mut().zip(false_discovery(&p)) {
            comparison.false_discovery_rate = Some(rate);
        }
    }

    /// Writes `audit.json`, `audit.md` and `audit.html`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        for (name, text) in
            [("audit.json", json), ("audit.md", self.markdown()), ("audit.html", self.html(folder))]
        {
            files::write(&folder.join(name), &text)?;
        }
        Ok(())
    }

    /// Returns how many statements have which verdict, the most frequent first.
    pub fn counts(&self) -> Vec<(String, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for statement in &self.statements {
            *counts.entry(statement.verdict()).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().map(|(text, count)| (text.to_owned(), count)).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }
}

impl StatementReport {
    /// Returns the verdict, or that there is none.
    pub fn verdict(&self) -> &str {
        match &self.comparison {
            Some(comparison) if comparison.complete => &comparison.verdict,
            Some(_) => "not complete",
            None => "not tested",
        }
    }
}

impl Comparison {
    fn of(
        report: &Report,
        registration: &Registration,
        design: DesignFile,
        arm: &str,
        direction: Direction,
    ) -> Option<Self> {
        let registered = registration.arms.iter().find(|other| other.name == arm)?;
        // Runs of the base may be there for another design.
        let arm =
            report.arms.iter().find(|other| other.name == arm && other.runs.iter().any(|run| run.begun))?;
        let base = match &arm.against {
            Some(against) => report.arms.iter().find(|other| other.name == *against)?,
            None => report.arms.first()?,
        };
        let complete = match registration.looks {
            true => arm.verdict.is_some_and(Verdict::is_decided) || arm.look == Some(registration.seeds),
            false => !arm.interim,
        };
        let seeds = arm.look.unwrap_or(registration.seeds);
        let values = [base, arm].map(|arm| arm.values.iter().take(seeds).copied().collect::<Vec<_>>());
        let paired = arm.difference.as_ref().map_or(0, |found| found.seeds);
        // Values of some of the seeds are not summed up, since the others may change the picture.
        let compared = complete && arm.verdict != Some(Verdict::NotCompared);
        let found = arm.difference.as_ref().filter(|_| compared);
        let pair = |interval: Option<(f64, f64)>| interval.map(|(low, high)| [low, high]);
        let verdict = found.map(|found| found.verdict(direction.sign(), registered.delta));
        Some(Self {
            setting: report.scale.clone(),
            ablation: report.ablation.clone(),
            arm: arm.name.clone(),
            base: base.name.clone(),
            design,
            quantity: report.quantity,
            unit: match report.unit {
                "%" => "points".to_owned(),
                other => other.to_owned(),
            },
            direction,
            delta: registered.delta,
            compared: report.arms.iter().skip(1).filter(|arm| arm.not_applicable.is_none()).count(),
            seeds: paired,
            registered: if complete { seeds } else { registration.seeds },
            left_out: if complete { seeds.saturating_sub(paired) } else { 0 },
            complete,
            base_value: found.and_then(|_| value(&values[0])),
            arm_value: found.and_then(|_| value(&values[1])),
            difference: found.map(|found| found.mean),
            interval: found.and_then(|found| pair(found.interval_95)),
            adjusted_interval: found.and_then(|found| pair(found.interval_adjusted)),
            sd: found.and_then(|found| found.sd),
            correlation: found.and_then(|_| correlation(&values)),
            p: found.and_then(|found| found.p),
            level: found.map_or(LEVEL / registration.arms.len() as f64, |found| found.level),
            false_discovery_rate: None,
            power: registration.power(registered),
            training_error: found.and_then(|_| Some([training_error(base)?, training_error(arm)?])),
            verdict: words(verdict).to_owned(),
            values,
        })
    }
}

/// Returns a verdict in the words of `audit.json`.
fn words(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::SameDirection) => "same direction",
        Some(Verdict::OppositeDirection) => "opposite direction",
        Some(Verdict::SmallerThanDelta) => "smaller than delta",
        // A statement has a direction, so a difference always agrees with it or not.
        Some(Verdict::Undecided { .. } | Verdict::NotCompared | Verdict::Differs { .. }) | None => {
            "undecided"
        }
    }
}

/// Returns mean and standard deviation.
fn value(values: &[Option<f64>]) -> Option<[f64; 2]> {
    let values: Vec<f64> = values.iter().flatten().copied().collect();
    let (mean, sd) = alexnet_study::statistics::mean_and_sd(&values);
    Some([mean, sd?])
}

/// Returns the correlation of the values of two arms over the seeds that both have.
fn correlation([base, arm]: &[Vec<Option<f64>>; 2]) -> Option<f64> {
    let pairs: Vec<(f64, f64)> =
        base.iter().zip(arm).filter_map(|(base, arm)| Some(((*base)?, (*arm)?))).collect();
    let n = pairs.len() as f64;
    let (x, y) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let (xy, xx, yy) =
        (sum(&|p| (p.0 - x) * (p.1 - y)), sum(&|p| (p.0 - x) * (p.0 - x)), sum(&|p| (p.1 - y) * (p.1 - y)));
    (pairs.len() > 2 && xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

/// Returns the mean error of an arm's final weights on training images, in percent, if it was measured.
fn training_error(arm: &ArmReport) -> Option<f64> {
    let last = arm.runs.iter().filter(|run| run.failure.is_none()).filter_map(|run| {
        let row = run.rows.iter().rfind(|row| row.split == "train-evaluated")?;
        Some(100.0 * row.top1_error)
    });
    let errors: Vec<f64> = last.collect();
    (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64)
}

#[cfg(test)]
mod tests;
