//! Creates tables, `report.json`, `runs.csv` and curves from finished runs.

use std::collections::BTreeSet;
use std::path::Path;

use alexnet_train::{Answers, EpochRow, LrnResponse, Run, RunStatus, failure};
use anyhow::{Context, Result};
use serde::Serialize;

use alexnet_study::ablation::{Claim, Quantity};
use alexnet_study::design::{AfterLook, Design, Look};
use alexnet_study::statistics::{self, Difference, LEVEL, Verdict, crossed_bootstrap, mean_and_sd};
use alexnet_study::versions::{self, Version};
use alexnet_study::{Study, StudyArm};

/// The results of an ablation.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The ablation's name.
    pub ablation: String,
    /// The question of the ablation.
    pub question: String,
    /// The paper's claim.
    pub claim: Claim,
    /// The quantity by which arms are compared.
    pub quantity: Quantity,
    /// `%` or `epochs`.
    pub unit: &'static str,
    /// The largest difference that counts as none, in the quantity's unit.
    pub delta: f64,
    /// The scale's name.
    pub scale: String,
    /// The data set's name.
    pub data: String,
    /// The data set's checksum.
    pub checksum: String,
    /// The backend that trained.
    pub backend: String,
    /// The version of the code.
    pub code_version: String,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The looks that were fixed in advance, if there are several.
    pub design: Option<Design>,
    /// Whether comparisons across versions were requested. `arms` lists the mixed ones.
    pub mixed_versions: bool,
    /// The arms; the base is the first.
    pub arms: Vec<ArmReport>,
}

/// The results of one arm.
#[derive(Debug, Clone, Serialize)]
pub struct ArmReport {
    /// Its name.
    pub name: String,
    /// A description of one sentence.
    pub about: String,
    /// The number of weights and biases.
    pub parameters: usize,
    /// The number of images that it learns from.
    pub training_images: usize,
    /// The arm that it is compared with, if not the base.
    pub against: Option<String>,
    /// The reason why the arm has no effect on these images, if so.
    pub not_applicable: Option<String>,
    /// One value per seed; absent if the run failed or did not reach the target.
    pub values: Vec<Option<f64>>,
    /// The mean over seeds.
    pub mean: Option<f64>,
    /// The standard deviation over seeds.
    pub sd: Option<f64>,
    /// The number of runs that did not reach the target training error. If there are any, the mean is a lower
    /// bound.
    pub never_reached: usize,
    /// The paired difference, this arm minus the base; absent for the base.
    pub difference: Option<Difference>,
    /// This arm's mean divided by the base's, if the claim is a ratio.
    pub ratio: Option<f64>,
    /// The paper's figure: this arm's top-1 error minus the base's, in percentage points.
    pub paper: Option<f64>,
    /// The paper's figure: this arm's epochs divided by the base's.
    pub paper_ratio: Option<f64>,
    /// The verdict of the comparison.
    pub verdict: Option<Verdict>,
    /// With a design, the number of seeds of the look to which the difference and the verdict belong.
    pub look: Option<usize>,
    /// How the number of seeds was changed after a table had been made, if so.
    pub after_look: Option<AfterLook>,
    /// Whether runs are missing. The verdict is then only valid for a study that continues.
    #[serde(default)]
    pub interim: bool,
    /// The versions that computed the runs of this comparison.
    pub versions: Vec<Version>,
    /// The respects in which those versions differ so that bits may. There is then no verdict, unless one was
    /// requested.
    pub mixed: Vec<&'static str>,
    /// The responses of the LRN layers, averaged over the seeds.
    pub lrn: Vec<LrnResponse>,
    /// The runs, one per seed.
    pub runs: Vec<RunReport>,
}

/// One run behind an arm.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    pub seed: u64,
    pub folder: String,
    /// The reason why there is no result, if so.
    pub failure: Option<String>,
    pub backend: Option<String>,
    pub processor: Option<String>,
    /// The versions that computed it, over all sessions.
    pub versions: BTreeSet<Version>,
    pub epochs: Option<usize>,
    /// The time of training alone, over all sessions.
    pub train_seconds: Option<f64>,
    /// The rate during training.
    pub images_per_second: Option<f64>,
    pub peak_memory_bytes: Option<u64>,
    pub test_top1_error: Option<f64>,
    pub test_top5_error: Option<f64>,
    pub test_loss: Option<f64>,
    #[serde(skip)]
    pub rows: Vec<EpochRow>,
    /// Whether the run has a result or failed, so that a look does not wait for it.
    #[serde(skip)]
    settled: bool,
    /// Whether the run has any files.
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
    /// The run did not reach the target in this many epochs.
    Never(f64),
    Is(f64),
}

impl Report {
    /// Reads the runs of a study, whose folders are in `out`. With `mixed_versions`, comparisons across
    /// versions of the code or the machine also get a verdict.
    pub fn of(study: &Study, out: &Path, mixed_versions: bool) -> Self {
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
        // With a design, the number of seeds is that of the runs begun so far. Otherwise, every arm has all
        // seeds.
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

    /// Returns this table as a look at its study.
    pub fn look(&self) -> Look {
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

    /// Returns the undecided arms and the arms they are compared with. These are trained for the next look.
    pub fn open_arms(&self, study: &Study) -> BTreeSet<usize> {
        let open =
            self.arms.iter().enumerate().skip(1).filter(|(_, arm)| {
                arm.not_applicable.is_none() && !arm.verdict.is_some_and(Verdict::is_decided)
            });
        open.flat_map(|(place, _)| [place, study.arms[place].against]).collect()
    }
}

impl ArmReport {
    fn of(arm: &StudyArm, seeds: &[u64], quantity: Quantity, images: usize, out: &Path) -> Self {
        let mut runs = Vec::new();
        for (folder, &seed) in arm.runs.iter().zip(seeds).filter(|_| arm.not_applicable.is_none()) {
            let mut run = RunReport::new(folder, seed);
            // A run that cannot be read has no result; the others keep theirs.
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

    /// Compares the arm with another, seed by seed. Returns the differences. With a design, they are those of
    /// the first look that decides, or else of the last complete look.
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

    /// Compares the first `seeds` seeds at a level. Returns the differences.
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

    /// Removes the runs of a design's later looks, so that they do not count as missing.
    fn leave_out_what_is_to_come(&mut self) {
        let begun = self.runs.iter().rposition(|run| run.begun).map_or(0, |last| last + 1);
        self.runs.truncate(begun.max(self.look.unwrap_or(0)));
        self.values.truncate(self.runs.len());
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

    /// Fills in the results from the run's folder in `out`. `images` is the number of images in a training
    /// epoch.
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

/// Returns the epoch at which the training error falls to `target`, interpolated between epochs. Before the
/// first epoch, the error is assumed to be that of chance, `start`.
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
