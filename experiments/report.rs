//! From finished runs to table, `report.json`, `runs.csv` and curves.

use std::fmt::Write as _;
use std::path::Path;

use alexnet_train::{Answers, EpochRow, LrnResponse, Run, RunStatus, failure};
use anyhow::{Context, Result};
use serde::Serialize;

use crate::ablation::{Claim, Quantity};
use crate::curves;
use crate::labels;
use crate::statistics::{self, Difference, LEVEL, Verdict, crossed_bootstrap, mean_and_sd};
use crate::study::{Study, StudyArm};

/// What an ablation found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) ablation: String,
    pub(crate) question: String,
    pub(crate) claim: Claim,
    pub(crate) quantity: Quantity,
    /// `%` or `epochs`.
    pub(crate) unit: &'static str,
    pub(crate) delta: f64,
    pub(crate) scale: String,
    pub(crate) data: String,
    pub(crate) checksum: String,
    pub(crate) backend: String,
    pub(crate) code_version: String,
    pub(crate) seeds: Vec<u64>,
    pub(crate) arms: Vec<ArmReport>,
}

/// What one arm found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ArmReport {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) parameters: usize,
    /// How many images it learns from.
    pub(crate) training_images: usize,
    /// The arm it is compared with, if it is not the base.
    pub(crate) against: Option<String>,
    pub(crate) not_applicable: Option<String>,
    /// One value a seed; absent where the run failed or never got there.
    pub(crate) values: Vec<Option<f64>>,
    pub(crate) mean: Option<f64>,
    pub(crate) sd: Option<f64>,
    /// Runs that never reached the training error in question: the mean is then a lower bound.
    pub(crate) never_reached: usize,
    /// This arm less the base, seed by seed; absent for the base.
    pub(crate) difference: Option<Difference>,
    /// This arm's mean over the base's, where the claim is a ratio.
    pub(crate) ratio: Option<f64>,
    pub(crate) paper: Option<f64>,
    pub(crate) paper_ratio: Option<f64>,
    pub(crate) verdict: Option<Verdict>,
    /// How LRN responded: the mean over the seeds.
    pub(crate) lrn: Vec<LrnResponse>,
    pub(crate) runs: Vec<RunReport>,
}

/// One run behind an arm.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RunReport {
    pub(crate) seed: u64,
    pub(crate) folder: String,
    /// Why there is no result, if there is none.
    pub(crate) failure: Option<String>,
    pub(crate) backend: Option<String>,
    pub(crate) processor: Option<String>,
    pub(crate) epochs: Option<usize>,
    /// Of training alone, over all sessions.
    pub(crate) train_seconds: Option<f64>,
    /// While training.
    pub(crate) images_per_second: Option<f64>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) test_top1_error: Option<f64>,
    pub(crate) test_top5_error: Option<f64>,
    pub(crate) test_loss: Option<f64>,
    #[serde(skip)]
    pub(crate) rows: Vec<EpochRow>,
    #[serde(skip)]
    value: Value,
    #[serde(skip)]
    lrn: Vec<LrnResponse>,
    #[serde(skip)]
    answers: Option<Answers>,
}

/// The quantity of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Missing,
    /// It never got there in so many epochs.
    Never(f64),
    Is(f64),
}

impl Report {
    /// Reads the runs of a study, whose folders lie in `out`.
    pub(crate) fn of(study: &Study, out: &Path) -> Self {
        let mut arms = Vec::new();
        for arm in &study.arms {
            arms.push(ArmReport::of(arm, &study.seeds, study.quantity, study.learned_from(arm), out));
        }
        let references: Vec<ArmReport> = study.arms.iter().map(|arm| arms[arm.against].clone()).collect();
        let others = &mut arms[1..];
        let mut pairs = Vec::new();
        for (report, reference) in others.iter_mut().zip(&references[1..]) {
            pairs.push(report.compare(reference, study.quantity, study.delta));
            report.against = (reference.name != references[0].name).then(|| reference.name.clone());
        }
        let differences = others.iter_mut().zip(&pairs);
        let mut differences: Vec<(&mut Difference, &[f64])> = differences
            .filter_map(|(report, pairs)| Some((report.difference.as_mut()?, pairs.as_slice())))
            .collect();
        statistics::correct(&mut differences);
        for (arm, report) in study.arms.iter().skip(1).zip(others) {
            let difference = report.difference.as_ref();
            report.verdict = difference.map(|difference| difference.verdict(arm.expected_sign, study.delta));
        }
        Self {
            ablation: study.ablation.clone(),
            question: study.question.clone(),
            claim: study.claim.clone(),
            quantity: study.quantity,
            unit: match study.quantity {
                Quantity::TestError | Quantity::TrainingError => "%",
                Quantity::EpochsToTrainingError => "epochs",
            },
            delta: study.delta,
            scale: study.scale.clone(),
            data: study.data.clone(),
            checksum: study.checksum.clone(),
            backend: study.backend.clone(),
            code_version: study.code_version.clone(),
            seeds: study.seeds.clone(),
            arms,
        }
    }

    /// Writes `report.json`, `runs.csv`, `table.txt` and `curves.svg`; where arms learn from different numbers of images,
    /// `labels.svg`.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).context("a report that JSON cannot hold")?;
        for (name, text) in [
            ("report.json", json + "\n"),
            ("runs.csv", self.csv()),
            ("table.txt", self.table()),
            ("curves.svg", curves::svg(self)),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if let Some(text) = labels::svg(self) {
            let path = folder.join("labels.svg");
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    pub(crate) fn csv(&self) -> String {
        self.csv_rows().concat()
    }

    /// The header and the rows, each with its line end.
    pub(crate) fn csv_rows(&self) -> Vec<String> {
        let mut rows = vec![
            "arm,seed,epochs,test_top1_error,test_top5_error,test_loss,parameters,backend,\
            train_seconds,images_per_second,peak_memory_bytes,folder,failure\n"
                .to_owned(),
        ];
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        for arm in &self.arms {
            for run in &arm.runs {
                let fields = [
                    quoted(&arm.name),
                    run.seed.to_string(),
                    run.epochs.map(|epochs| epochs.to_string()).unwrap_or_default(),
                    number(run.test_top1_error),
                    number(run.test_top5_error),
                    number(run.test_loss),
                    arm.parameters.to_string(),
                    run.backend.clone().unwrap_or_default(),
                    number(run.train_seconds),
                    number(run.images_per_second),
                    run.peak_memory_bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
                    quoted(&run.folder),
                    quoted(run.failure.as_deref().unwrap_or_default()),
                ];
                rows.push(fields.join(",") + "\n");
            }
        }
        rows
    }

    /// The table, at most 80 columns wide for arms with short names.
    pub(crate) fn table(&self) -> String {
        let base = &self.arms[0].name;
        let (measured, digits) = match self.quantity {
            Quantity::TestError => ("test top-1 error, %".to_owned(), 2),
            Quantity::TrainingError => ("training top-1 error, %".to_owned(), 2),
            Quantity::EpochsToTrainingError => ("epochs".to_owned(), 2),
        };
        let mut rows = vec![[
            "arm".to_owned(),
            measured,
            format!("less `{base}` [95 %]"),
            "paper*".to_owned(),
            "verdict".to_owned(),
        ]];
        for (index, arm) in self.arms.iter().enumerate() {
            rows.push(arm.row(index == 0, self.delta, digits));
        }
        let widths: Vec<usize> = (0..4)
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = format!("\n{}\n{}\n\n", self.question, self.subject());
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            line += &row[4];
            text += line.trim_end();
            text.push('\n');
        }
        text += &wrapped(
            &format!("* {}: {}, on {}.", self.claim.section, self.claim.text, self.claim.data),
            "  ",
        );
        for line in self.tests().iter().chain(&self.notes()) {
            text += &wrapped(line, "  ");
        }
        text
    }

    /// What a reader must know of the arms besides their rows.
    pub(crate) fn notes(&self) -> Vec<String> {
        let against =
            self.arms.iter().filter_map(|arm| Some(format!("{} with {}", arm.name, arm.against.as_ref()?)));
        let against: Vec<String> = against.collect();
        let compared = (!against.is_empty()).then(|| {
            format!("Compared with another arm than `{}`: {}.", self.arms[0].name, against.join("; "))
        });
        compared.into_iter().chain(self.arms.iter().flat_map(ArmReport::notes)).collect()
    }

    /// The tests beside the intervals, a line each.
    pub(crate) fn tests(&self) -> Vec<String> {
        let tested: Vec<(&str, &Difference)> =
            self.arms.iter().filter_map(|arm| Some((arm.name.as_str(), arm.difference.as_ref()?))).collect();
        let tested: Vec<_> = tested.into_iter().filter(|(_, difference)| difference.p.is_some()).collect();
        let listed = |of: &dyn Fn(&Difference) -> Option<String>| {
            let said =
                tested.iter().filter_map(|(name, difference)| Some(format!("{name} {}", of(difference)?)));
            said.collect::<Vec<_>>().join(", ")
        };
        let mut lines = Vec::new();
        let p = listed(&|difference| {
            let (p, corrected) = (difference.p?, difference.p_holm?);
            Some(if tested.len() == 1 { small(p) } else { format!("{} → {}", small(p), small(corrected)) })
        });
        let holm = match tested.len() {
            1 => String::new(),
            arms => format!(", after Holm's correction over {arms} arms"),
        };
        lines.push(format!("Paired t test, p{holm}: {p}."));
        let level = LEVEL / tested.len().max(1) as f64;
        let flips: Vec<_> = tested.iter().filter_map(|(_, difference)| difference.sign_flip).collect();
        if flips.iter().any(|flip| flip.p.is_some()) {
            let p = listed(&|difference| {
                Some(difference.sign_flip?.p.map_or("off (too few seeds)".to_owned(), small))
            });
            lines.push(format!("Sign-flip test, p, the least of which is held against {level:.3}: {p}."));
        } else if let Some(flip) = flips.first() {
            let smallest = flips.iter().map(|flip| flip.smallest).fold(flip.smallest, f64::min);
            lines.push(format!(
                "Sign-flip test: off; so few seeds give no p below {smallest:.3}, and {level:.3} is asked."
            ));
        }
        for (what, of) in [
            (
                "Bootstrap over seeds",
                (|difference| difference.bootstrap) as fn(&Difference) -> Option<(f64, f64)>,
            ),
            ("Bootstrap over seeds and test images", |difference| difference.crossed_bootstrap),
        ] {
            lines.push(format!(
                "{what}, 95 %: {}.",
                listed(&|difference| of(difference).map(|(low, high)| format!("[{low:+.2}, {high:+.2}]")))
            ));
        }
        lines.retain(|line| !line.ends_with(": ."));
        lines
    }

    pub(crate) fn subject(&self) -> String {
        let seeds = self.seeds.len();
        format!(
            "`{}` at scale `{}` on {}, {seeds} seed{}, {}",
            self.ablation,
            self.scale,
            self.data,
            if seeds == 1 { "" } else { "s" },
            self.backend,
        )
    }
}

impl ArmReport {
    fn of(arm: &StudyArm, seeds: &[u64], quantity: Quantity, images: usize, out: &Path) -> Self {
        let mut runs = Vec::new();
        for (folder, &seed) in arm.runs.iter().zip(seeds).filter(|_| arm.not_applicable.is_none()) {
            let mut run = RunReport::new(folder, seed);
            // A run that cannot be read is one without a result; the others have theirs.
            if let Err(error) = run.read(arm, quantity, out, images) {
                run.failure = Some(format!("{error:#}"));
                run.value = Value::Missing;
            }
            runs.push(run);
        }
        let known: Vec<f64> = runs
            .iter()
            .filter_map(|run| match run.value {
                Value::Is(value) | Value::Never(value) => Some(value),
                Value::Missing => None,
            })
            .collect();
        let (mean, sd) = match known.is_empty() {
            true => (None, None),
            false => (Some(mean_and_sd(&known).0), mean_and_sd(&known).1),
        };
        let value = |run: &RunReport| match run.value {
            Value::Is(value) => Some(value),
            _ => None,
        };
        Self {
            name: arm.name.clone(),
            about: arm.about.clone(),
            parameters: arm.parameters,
            training_images: images,
            against: None,
            not_applicable: arm.not_applicable.clone(),
            values: runs.iter().map(value).collect(),
            mean,
            sd,
            never_reached: runs.iter().filter(|run| matches!(run.value, Value::Never(_))).count(),
            difference: None,
            ratio: None,
            paper: arm.paper,
            paper_ratio: arm.paper_ratio,
            verdict: None,
            lrn: mean_responses(&runs),
            runs,
        }
    }

    /// Compares the arm with the base, seed by seed; returns the differences.
    fn compare(&mut self, base: &ArmReport, quantity: Quantity, delta: f64) -> Vec<f64> {
        let pairs =
            self.runs.iter().zip(&base.runs).filter_map(|(run, base)| match (run.value, base.value) {
                (Value::Is(value) | Value::Never(value), Value::Is(base)) => Some(value - base),
                _ => None,
            });
        let pairs: Vec<f64> = pairs.collect();
        self.difference = Difference::of(&pairs, delta);
        if let (Some(difference), Quantity::TestError) = (&mut self.difference, quantity) {
            let answers = self.runs.iter().zip(&base.runs).filter_map(|(run, base)| {
                Some((base.answers.as_ref()?.right(), run.answers.as_ref()?.right()))
            });
            let answers: Vec<_> = answers.collect();
            if answers.len() == difference.seeds {
                difference.crossed_bootstrap = crossed_bootstrap(&answers);
            }
        }
        if self.paper_ratio.is_some() {
            self.ratio = self.mean.zip(base.mean).map(|(mean, base)| mean / base);
        }
        pairs
    }

    pub(crate) fn row(&self, base: bool, delta: f64, digits: usize) -> [String; 5] {
        if let Some(reason) = &self.not_applicable {
            return [
                self.name.clone(),
                "not applicable".into(),
                String::new(),
                String::new(),
                reason.clone(),
            ];
        }
        let bound = if self.never_reached > 0 { "> " } else { "" };
        let value = match (self.mean, self.sd) {
            (Some(mean), Some(sd)) => format!("{bound}{mean:.digits$} ± {sd:.digits$}"),
            (Some(mean), None) => format!("{bound}{mean:.digits$}"),
            _ => "no finished run".to_owned(),
        };
        if base {
            return [self.name.clone(), value, String::new(), String::new(), String::new()];
        }
        let difference = self.difference.as_ref().map_or(String::new(), |difference| {
            let interval = difference
                .interval_95
                .map_or(String::new(), |(low, high)| format!(" [{low:+.digits$}, {high:+.digits$}]"));
            format!("{bound}{:+.digits$}{interval}", difference.mean)
        });
        let paper = match (self.paper, self.paper_ratio) {
            (Some(paper), _) => format!("{paper:+.1}"),
            (None, Some(ratio)) => format!("{ratio:.0}×"),
            (None, None) => String::new(),
        };
        let verdict = self.verdict.map_or("no pair of runs".to_owned(), |verdict| {
            verdict.text(delta, self.difference.as_ref().map_or(0, |difference| difference.seeds))
        });
        let ratio = self.ratio.map_or(String::new(), |ratio| format!("; ratio {bound}{ratio:.1}"));
        [self.name.clone(), value, difference, paper, verdict + &ratio]
    }

    /// What a reader of the table must know besides.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for run in &self.runs {
            if let Some(failure) = &run.failure {
                notes.push(format!("{}, seed {}: {failure}", self.name, run.seed));
            }
        }
        if self.never_reached > 0 {
            notes.push(format!(
                "{}: {} run(s) never got there; their last epoch counts, so the mean and the ratio are lower bounds.",
                self.name, self.never_reached,
            ));
        }
        if !self.lrn.is_empty() {
            let layers = self.lrn.iter().map(|lrn| {
                let constant = if lrn.acted_as_constant() { ", acted as a constant" } else { "" };
                format!("{} {:.3} ({:.3}{constant})", lrn.layer, lrn.median, lrn.percentile_95)
            });
            notes.push(format!(
                "{}: median (95th percentile) of alpha·S/k in LRN: {}.",
                self.name,
                layers.collect::<Vec<_>>().join(", "),
            ));
        }
        notes
    }
}

impl RunReport {
    fn new(folder: &str, seed: u64) -> Self {
        Self {
            seed,
            folder: folder.to_owned(),
            failure: None,
            backend: None,
            processor: None,
            train_seconds: None,
            images_per_second: None,
            peak_memory_bytes: None,
            epochs: None,
            test_top1_error: None,
            test_top5_error: None,
            test_loss: None,
            rows: Vec::new(),
            value: Value::Missing,
            lrn: Vec::new(),
            answers: None,
        }
    }

    /// Fills in what the run's folder in `out` has. `images`: of a training epoch.
    fn read(&mut self, arm: &StudyArm, quantity: Quantity, out: &Path, images: usize) -> Result<()> {
        let folder = out.join(&self.folder);
        let or_why = |otherwise: &str| failure(&folder).unwrap_or_else(|| otherwise.to_owned());
        if !folder.join("run.json").exists() {
            self.failure = Some(or_why("not trained"));
            return Ok(());
        }
        let run = Run::open(&folder)?;
        let sessions = run.record()?.sessions;
        self.backend = sessions.last().map(|session| session.backend.clone());
        self.processor = sessions.last().map(|session| session.processor.clone());
        self.rows = run.metrics()?;
        let train = self.rows.iter().filter(|row| row.split == "train");
        let seconds: Vec<f64> = train.map(|row| row.seconds).collect();
        if !seconds.is_empty() {
            let (epochs, seconds) = (seconds.len(), seconds.iter().sum::<f64>());
            self.train_seconds = Some(seconds);
            self.images_per_second = Some((epochs * images) as f64 / seconds.max(1e-9));
        }
        let RunStatus::Finished(result) = run.status()? else {
            self.failure = Some(or_why("not finished"));
            return Ok(());
        };
        let Some(test) = result.test(arm.config.evaluation.views) else {
            self.failure = Some(or_why("not tested with these views"));
            return Ok(());
        };
        self.peak_memory_bytes = result.peak_memory_bytes;
        self.answers = run.answers(arm.config.evaluation.views)?;
        self.epochs = Some(result.epochs);
        self.test_top1_error = Some(test.top1_error);
        self.test_top5_error = Some(test.top5_error);
        self.test_loss = Some(test.loss);
        self.value = match quantity {
            Quantity::TestError => Value::Is(100.0 * test.top1_error),
            Quantity::TrainingError => {
                let of = |row: &&EpochRow| row.split == "train-evaluated" && row.epoch == result.final_epoch;
                let row = self.rows.iter().find(of);
                let row =
                    row.context("its training error was not taken; set `recipe.training_error.images`")?;
                Value::Is(100.0 * row.top1_error)
            }
            Quantity::EpochsToTrainingError => {
                let start = 1.0 - 1.0 / arm.config.network.classes as f64;
                crossing(&self.rows, start, arm.config.recipe.training_error.stop_at)
            }
        };
        self.lrn = result.lrn;
        Ok(())
    }
}

/// The epoch at which the training error falls to `target`, interpolated between the epochs around
/// it; before the first epoch the error is taken for that of chance, `start`.
fn crossing(rows: &[EpochRow], start: f64, target: f64) -> Value {
    let mut before = (0.0, start);
    for row in rows.iter().filter(|row| row.split == "train-evaluated") {
        let now = (row.epoch as f64, row.top1_error);
        if now.1 <= target {
            let share = (before.1 - target) / (before.1 - now.1).max(f64::MIN_POSITIVE);
            return Value::Is(before.0 + share.clamp(0.0, 1.0) * (now.0 - before.0));
        }
        before = now;
    }
    if before.0 == 0.0 { Value::Missing } else { Value::Never(before.0) }
}

fn mean_responses(runs: &[RunReport]) -> Vec<LrnResponse> {
    let finished: Vec<&RunReport> = runs.iter().filter(|run| !run.lrn.is_empty()).collect();
    let Some(first) = finished.first() else {
        return Vec::new();
    };
    let mean = |layer: usize, pick: fn(&LrnResponse) -> f64| {
        finished.iter().map(|run| pick(&run.lrn[layer])).sum::<f64>() / finished.len() as f64
    };
    let layers = first.lrn.iter().enumerate().map(|(at, response)| LrnResponse {
        layer: response.layer.clone(),
        median: mean(at, |response| response.median),
        percentile_95: mean(at, |response| response.percentile_95),
    });
    layers.collect()
}

/// A p value in three digits.
fn small(p: f64) -> String {
    if p < 0.001 { "below 0.001".to_owned() } else { format!("{p:.3}") }
}

/// `text` in lines of at most 80 columns, all but the first indented.
fn wrapped(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > 80 {
            out.push('\n');
            out += indent;
            width = indent.len();
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out += word;
        width += length;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: usize, top1_error: f64) -> EpochRow {
        EpochRow {
            epoch,
            step: epoch,
            split: "train-evaluated".to_owned(),
            loss: 1.0,
            top1_error,
            top5_error: 0.0,
            learning_rate: 0.01,
            seconds: 1.0,
        }
    }

    #[test]
    fn crossings_are_interpolated_and_absent_ones_are_bounds() {
        let rows = [row(1, 0.5), row(2, 0.35), row(3, 0.15)];
        assert_eq!(crossing(&rows, 0.9, 0.25), Value::Is(2.5));
        assert_eq!(crossing(&rows[..1], 0.9, 0.7), Value::Is(0.5000000000000001));
        assert_eq!(crossing(&rows[..2], 0.9, 0.25), Value::Never(2.0));
        assert_eq!(crossing(&[], 0.9, 0.25), Value::Missing);
    }
}
