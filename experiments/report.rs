//! From finished runs to table, `report.json`, `runs.csv` and curves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use alexnet_train::{Answers, EpochRow, LrnResponse, Run, RunStatus, failure};
use anyhow::{Context, Result};
use serde::Serialize;

use crate::ablation::{Claim, Quantity};
use crate::curves;
use crate::design::{AfterLook, Design, Look};
use crate::labels;
use crate::statistics::{self, Difference, LEVEL, Verdict, crossed_bootstrap, mean_and_sd};
use crate::study::{Study, StudyArm};
use crate::versions::{self, Version};

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
    /// The looks that were fixed in advance, if there are several.
    pub(crate) design: Option<Design>,
    /// Whether comparisons of mixed versions were asked for; `arms` say which are.
    pub(crate) mixed_versions: bool,
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
    /// Of a design: the look, by its number of seeds, that the difference and the verdict are of.
    pub(crate) look: Option<usize>,
    /// Whether the number of seeds was changed after a table had been made.
    pub(crate) after_look: Option<AfterLook>,
    /// Whether runs are still to come: the verdict is only right for a study that does not stop at it.
    #[serde(default)]
    pub(crate) interim: bool,
    /// What computed the runs of this comparison.
    pub(crate) versions: Vec<Version>,
    /// In what those differ such that bits may; the verdict is then refused, or was asked for all the same.
    pub(crate) mixed: Vec<&'static str>,
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
    /// What computed it, over all sessions.
    pub(crate) versions: BTreeSet<Version>,
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
    /// Whether it has a result or failed, so that a look need not wait for it.
    #[serde(skip)]
    settled: bool,
    /// Whether anything of it is there.
    #[serde(skip)]
    begun: bool,
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
    /// Reads the runs of a study, whose folders lie in `out`. With `mixed_versions`, comparisons across versions of the code or
    /// the machine have a verdict too.
    pub(crate) fn of(study: &Study, out: &Path, mixed_versions: bool) -> Self {
        let mut arms = Vec::new();
        for arm in &study.arms {
            arms.push(ArmReport::of(arm, &study.seeds, study.quantity, study.learned_from(arm), out));
        }
        let references: Vec<ArmReport> = study.arms.iter().map(|arm| arms[arm.against].clone()).collect();
        let others = &mut arms[1..];
        let mut pairs = Vec::new();
        for ((report, reference), arm) in others.iter_mut().zip(&references[1..]).zip(&study.arms[1..]) {
            pairs.push(report.compare(reference, study, arm.expected_sign, mixed_versions));
            report.against = (reference.name != references[0].name).then(|| reference.name.clone());
        }
        let differences = others.iter_mut().zip(&pairs);
        let mut differences: Vec<(&mut Difference, &[f64])> = differences
            .filter_map(|(report, pairs)| Some((report.difference.as_mut()?, pairs.as_slice())))
            .collect();
        statistics::correct(&mut differences);
        if study.design.is_some() {
            arms.iter_mut().for_each(ArmReport::leave_out_what_is_to_come);
        }
        // Of a design as many as have been begun; else every arm has all.
        let seeds = arms.iter().map(|arm| arm.runs.len()).max().unwrap_or(0);
        let seeds = if study.design.is_some() { seeds } else { study.seeds.len() };
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
            seeds: study.seeds[..seeds].to_vec(),
            design: study.design.clone(),
            mixed_versions,
            arms,
        }
    }

    /// What this table is as a look at its study.
    pub(crate) fn look(&self) -> Look {
        let with_interval = |arm: &&ArmReport| {
            let interval = arm.difference.as_ref().and_then(|found| found.interval_adjusted);
            interval.is_some() && arm.verdict != Some(Verdict::NotCompared)
        };
        let seen = self.arms.iter().filter(with_interval);
        let seeds = match &self.design {
            None => self.seeds.len(),
            Some(_) => self.arms.iter().filter_map(|arm| arm.look).max().unwrap_or(0),
        };
        Look { seeds, arms: seen.filter_map(|arm| Some((arm.name.clone(), arm.verdict?))).collect() }
    }

    /// The arms that are not decided, and those that they are compared with: what is to be trained for the next look.
    pub(crate) fn open_arms(&self, study: &Study) -> BTreeSet<usize> {
        let open =
            self.arms.iter().enumerate().skip(1).filter(|(_, arm)| {
                arm.not_applicable.is_none() && !arm.verdict.is_some_and(Verdict::is_decided)
            });
        open.flat_map(|(place, _)| [place, study.arms[place].against]).collect()
    }

    /// A line on a look of a design.
    pub(crate) fn progress(&self, number: usize, of: usize, seeds: usize) -> String {
        let arms = self.arms.iter().skip(1).filter(|arm| arm.not_applicable.is_none());
        let arms: Vec<String> =
            arms.map(|arm| format!("{} {}", arm.name, arm.verdict_text(self.delta))).collect();
        format!("look {number} of {of}, at {seeds} seeds: {}", arms.join("; "))
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
            alexnet_data::write_whole(&path, text.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if let Some(text) = labels::svg(self) {
            let path = folder.join("labels.svg");
            alexnet_data::write_whole(&path, text.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
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
            "adjusted".to_owned(),
            "paper*".to_owned(),
            "verdict".to_owned(),
        ]];
        for (index, arm) in self.arms.iter().enumerate() {
            rows.push(arm.row(index == 0, self.delta, digits));
        }
        let mut text = format!("\n{}\n{}\n\n", self.question, self.subject());
        text += &aligned(&rows);
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
        let of_arms = self.arms.iter().flat_map(ArmReport::notes);
        compared.into_iter().chain(of_arms).chain(self.versions()).collect()
    }

    /// Which code and machine computed how many of the runs.
    fn versions(&self) -> Vec<String> {
        let runs: BTreeMap<&str, &RunReport> =
            self.arms.iter().flat_map(|arm| &arm.runs).map(|run| (run.folder.as_str(), run)).collect();
        let mut counts: BTreeMap<&BTreeSet<Version>, usize> = BTreeMap::new();
        for run in runs.into_values().filter(|run| !run.versions.is_empty()) {
            *counts.entry(&run.versions).or_default() += 1;
        }
        let one = counts.len() == 1;
        let line = |(versions, runs): (&BTreeSet<Version>, usize)| {
            let text: Vec<String> = versions.iter().map(Version::text).collect();
            let runs = if one { String::new() } else { format!(" ({runs} runs)") };
            format!("Computed by {}{runs}.", text.join(", then "))
        };
        let mut lines: Vec<String> = counts.iter().map(|(versions, runs)| line((versions, *runs))).collect();
        if counts.keys().any(|versions| versions.iter().any(|version| version.results.is_none())) {
            lines.push(
                "Runs from before results were numbered: that they are of the same code is taken from its commit."
                    .to_owned(),
            );
        }
        lines
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
        let mut lines: Vec<String> = self.level_line().into_iter().collect();
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

    /// At which levels the verdicts are.
    fn level_line(&self) -> Option<String> {
        let percent = |share: f64| {
            let text = format!("{:.2}", 100.0 * share);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        if let Some(design) = &self.design {
            let seeds: Vec<String> = design.looks.iter().map(|look| look.seeds.to_string()).collect();
            let level: Vec<String> = design.looks.iter().map(|look| percent(1.0 - look.level)).collect();
            return Some(format!(
                "Looks fixed in advance, at {} seeds. Verdicts use the adjusted intervals, {} %: 5 % are divided over {} arm(s) \
                 and, in proportion to their seeds, over the looks.",
                seeds.join(", "),
                level.join(", "),
                design.arms,
            ));
        }
        let level = self.arms.iter().find_map(|arm| Some(arm.difference.as_ref()?.level))?;
        (level < LEVEL).then(|| {
            format!(
                "Verdicts use the adjusted intervals, {} %, and {} % for a difference smaller than {}: 5 % are divided over {:.0} arms.",
                percent(1.0 - level),
                percent(1.0 - 2.0 * level),
                self.delta,
                LEVEL / level,
            )
        })
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
            look: None,
            after_look: None,
            interim: false,
            versions: Vec::new(),
            mixed: Vec::new(),
            lrn: mean_responses(&runs),
            runs,
        }
    }

    /// Compares the arm with another, seed by seed; returns the differences. Of a design, those of the first look that decides,
    /// or of the last that is complete.
    fn compare(
        &mut self,
        reference: &ArmReport,
        study: &Study,
        expected_sign: i8,
        mixed_versions: bool,
    ) -> Vec<f64> {
        self.after_look = match study.design {
            Some(_) => None,
            None => AfterLook::of(&self.name, study.seeds.len(), &study.looks),
        };
        let pairs = match &study.design {
            None => {
                let level = LEVEL / study.compared().max(1) as f64;
                let pairs = self.compare_first(usize::MAX, level, reference, study);
                let missing = |arm: &ArmReport| arm.runs.iter().any(|run| !run.settled);
                self.interim = missing(self) || missing(reference);
                pairs
            }
            Some(design) => {
                let settled = |arm: &ArmReport| arm.runs.iter().take_while(|run| run.settled).count();
                let settled = settled(self).min(settled(reference));
                let mut pairs = Vec::new();
                for look in design.looks.iter().take_while(|look| look.seeds <= settled) {
                    pairs = self.compare_first(look.seeds, look.level, reference, study);
                    self.look = Some(look.seeds);
                    let verdict = self.difference.as_ref().map(|it| it.verdict(expected_sign, study.delta));
                    if verdict.is_some_and(Verdict::is_decided) {
                        break;
                    }
                }
                pairs
            }
        };
        let verdict = self.difference.as_ref().map(|found| found.verdict(expected_sign, study.delta));
        self.verdict = match self.mixed.is_empty() || mixed_versions {
            true => verdict,
            false => verdict.map(|_| Verdict::NotCompared),
        };
        if self.paper_ratio.is_some() {
            self.ratio = self.mean.zip(reference.mean).map(|(mean, base)| mean / base);
        }
        if let (Some(difference), Quantity::TestError) = (&mut self.difference, study.quantity) {
            let both = self.runs.iter().zip(&reference.runs).take(self.look.unwrap_or(usize::MAX));
            let answers = both.filter_map(|(run, base)| {
                Some((base.answers.as_ref()?.right(), run.answers.as_ref()?.right()))
            });
            let answers: Vec<_> = answers.collect();
            if answers.len() == difference.seeds {
                difference.crossed_bootstrap = crossed_bootstrap(&answers);
            }
        }
        pairs
    }

    /// Compares the first `seeds` seeds at a level.
    fn compare_first(&mut self, seeds: usize, level: f64, reference: &ArmReport, study: &Study) -> Vec<f64> {
        let both = || self.runs.iter().zip(&reference.runs).take(seeds);
        let difference = |run: &RunReport, base: &RunReport| match (run.value, base.value) {
            (Value::Is(value) | Value::Never(value), Value::Is(base)) => Some(value - base),
            _ => None,
        };
        let pairs: Vec<f64> = both().filter_map(|(run, base)| difference(run, base)).collect();
        let paired = both().filter(|(run, base)| difference(run, base).is_some());
        let versions: BTreeSet<Version> =
            paired.flat_map(|(run, base)| run.versions.iter().chain(&base.versions)).cloned().collect();
        self.mixed = versions::differences(&versions);
        self.versions = versions.into_iter().collect();
        self.difference = Difference::of(&pairs, study.delta, level);
        pairs
    }

    /// Forgets the runs of looks that a design has yet to come to, or will not: they are no missing ones.
    fn leave_out_what_is_to_come(&mut self) {
        let begun = self.runs.iter().rposition(|run| run.begun).map_or(0, |last| last + 1);
        self.runs.truncate(begun.max(self.look.unwrap_or(0)));
        self.values.truncate(self.runs.len());
    }

    /// The verdict in words, with what it is to be read with.
    fn verdict_text(&self, delta: f64) -> String {
        let seeds = self.difference.as_ref().map_or(0, |difference| difference.seeds);
        let Some(verdict) = self.verdict else { return "no pair of runs".to_owned() };
        let mut text = verdict.text(delta, seeds);
        if verdict != Verdict::NotCompared {
            let mixed = (!self.mixed.is_empty()).then_some("mixed versions");
            let interim = self.interim.then_some("interim");
            for mark in self.after_look.map(AfterLook::text).into_iter().chain(interim).chain(mixed) {
                text += ", ";
                text += mark;
            }
        }
        text
    }

    /// Name, value, difference with its 95 % interval, adjusted interval, paper's figure, verdict.
    pub(crate) fn row(&self, base: bool, delta: f64, digits: usize) -> [String; 6] {
        let bound = if self.never_reached > 0 { "> " } else { "" };
        let value = match (&self.not_applicable, self.mean, self.sd) {
            (Some(_), ..) => "not applicable".to_owned(),
            (_, Some(mean), Some(sd)) => format!("{bound}{mean:.digits$} ± {sd:.digits$}"),
            (_, Some(mean), None) => format!("{bound}{mean:.digits$}"),
            _ => "no finished run".to_owned(),
        };
        let none = String::new;
        if let Some(reason) = &self.not_applicable {
            return [self.name.clone(), value, none(), none(), none(), reason.clone()];
        }
        if base {
            return [self.name.clone(), value, none(), none(), none(), none()];
        }
        let interval = |interval: Option<(f64, f64)>| {
            interval.map_or(none(), |(low, high)| format!("[{low:+.digits$}, {high:+.digits$}]"))
        };
        let difference = self.difference.as_ref().map_or(none(), |difference| {
            let raw = interval(difference.interval_95);
            format!("{bound}{:+.digits$} {raw}", difference.mean).trim_end().to_owned()
        });
        let adjusted = self.difference.as_ref().filter(|difference| difference.is_adjusted());
        let adjusted = adjusted.map_or(none(), |difference| interval(difference.interval_adjusted));
        let paper = match (self.paper, self.paper_ratio) {
            (Some(paper), _) => format!("{paper:+.1}"),
            (None, Some(ratio)) => format!("{ratio:.0}×"),
            (None, None) => none(),
        };
        let ratio = self.ratio.map_or(none(), |ratio| format!("; ratio {bound}{ratio:.1}"));
        [self.name.clone(), value, difference, adjusted, paper, self.verdict_text(delta) + &ratio]
    }

    /// What a reader of the table must know besides.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for run in &self.runs {
            if let Some(failure) = &run.failure {
                notes.push(format!("{}, seed {}: {failure}", self.name, run.seed));
            }
        }
        if let Some(look) = self.look.filter(|_| self.verdict.is_some_and(Verdict::is_decided)) {
            notes.push(format!(
                "{}: decided at the look at {look} seeds, whose difference this is.",
                self.name
            ));
        }
        if !self.mixed.is_empty() {
            let how = match self.verdict {
                Some(Verdict::NotCompared) => "`--mixed-versions` compares them all the same",
                _ => "compared all the same, as `--mixed-versions` asks",
            };
            notes.push(format!("{}: its runs differ in {}; {how}.", self.name, self.mixed.join(", ")));
        }
        if let Some(after) = self.after_look {
            notes.push(format!(
                "{}: {}: a table with another number of seeds was made before, so that its interval is no longer what it \
                 says; `--until-decided` fixes looks in advance.",
                self.name,
                after.text(),
            ));
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
            versions: BTreeSet::new(),
            settled: false,
            begun: false,
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
        let failed = failure(&folder);
        self.settled = failed.is_some();
        self.begun = self.settled;
        let or_why = |otherwise: &str| failed.clone().unwrap_or_else(|| otherwise.to_owned());
        if !folder.join("run.json").exists() {
            self.failure = Some(or_why("not trained"));
            return Ok(());
        }
        self.begun = true;
        let run = Run::open(&folder)?;
        let sessions = run.record()?.sessions;
        self.versions = sessions.iter().map(Version::of).collect();
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
        self.settled = true;
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

/// Rows under their header, with the last cell of each on a line of its own where lines would be longer than 80 columns. A
/// column with nothing below its header is left out, but for the last.
fn aligned(rows: &[[String; 6]]) -> String {
    let shown: Vec<usize> =
        (0..5).filter(|&column| column != 3 || rows[1..].iter().any(|row| !row[column].is_empty())).collect();
    let length = |text: &str| text.chars().count();
    let width = |column: usize| rows.iter().map(|row| length(&row[column])).max().unwrap_or(0);
    let widths: Vec<usize> = shown.iter().map(|&column| width(column)).collect();
    let before = widths.iter().map(|width| width + 2).sum::<usize>();
    let below = rows.iter().any(|row| !row[5].is_empty() && before + length(&row[5]) > 80);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (&column, width) in shown.iter().zip(&widths) {
            let _ = write!(line, "{:<width$}  ", row[column]);
        }
        if !below {
            line += &row[5];
        }
        text += line.trim_end();
        text.push('\n');
        if below && !row[5].is_empty() {
            let _ = writeln!(text, "{:indent$}{}", "", row[5], indent = widths[0] + 2);
        }
    }
    text
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
    fn tables_have_at_most_80_columns_and_no_empty_one() {
        let row = |cells: [&str; 6]| cells.map(str::to_owned);
        let head = row(["arm", "test top-1 error, %", "less `on` [95 %]", "adjusted", "paper*", "verdict"]);
        let short = row(["off", "19.37 ± 1.05", "+1.95 [-0.12, +4.02]", "", "+1.4", "lower"]);
        let table = aligned(&[head.clone(), short]);
        assert_eq!(table.lines().count(), 2, "{table}");
        assert!(
            table.lines().nth(1).unwrap().ends_with("+1.4    lower") && !table.contains("adjusted"),
            "{table}"
        );
        let adjusted = row([
            "gain-only",
            "17.60 ± 0.52",
            "+0.17 [-0.35, +0.70]",
            "[-0.49, +0.84]",
            "",
            "undecided: about 49 seeds needed",
        ]);
        let base = row(["on", "17.42 ± 0.83", "", "", "", ""]);
        let table = aligned(&[head, base, adjusted]);
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 5, "{table}");
        assert_eq!(
            (lines[1], lines[4]),
            ("           verdict", "           undecided: about 49 seeds needed")
        );
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
