//! Creates tables, `report.json`, `runs.csv` and curves from finished runs.

use std::collections::BTreeSet;
use std::path::Path;

use alexnet_train::LrnResponse;
use serde::Serialize;

use alexnet_study::ablation::{Claim, Quantity};
use alexnet_study::design::{AfterLook, Design, Look};
use alexnet_study::statistics::{
    self, Censoring, Difference, LEVEL, Verdict, crossed_bootstrap, mean_and_sd,
};
use alexnet_study::versions::{self, Version};
use alexnet_study::{Study, StudyArm};

use crate::run::{RunReport, Value, mean_responses};

/// The results of an ablation.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The ablation's name.
    pub ablation: String,
    /// The question of the ablation.
    pub question: String,
    /// The paper's claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The quantity by which arms are compared.
    pub quantity: Quantity,
    /// `%`, `epochs` or `ln steps`.
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
    /// Whether arms differ in their LRN layers, so that the layers' responses are of interest.
    #[serde(skip)]
    pub(crate) varies_lrn: bool,
    /// The training error at which the runs end, in percent, if there is one.
    #[serde(skip)]
    pub(crate) threshold: Option<f64>,
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
    /// The number of steps of an epoch.
    #[serde(skip)]
    pub(crate) steps_per_epoch: usize,
    /// The arm that it is compared with, if not the base.
    pub against: Option<String>,
    /// The arms that it tries together, if they are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<String>,
    /// The arm that it leaves out of those that are tried together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<String>,
    /// The reason why the arm has no effect on these images, if so.
    pub not_applicable: Option<String>,
    /// The time of a training step divided by the base's, the median over seeds. Runs of the same seed follow each other.
    pub step_time: Option<f64>,
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
    /// This arm's mean divided by the base's, if the claim is a ratio; of logarithms, the geometric mean of ratios.
    pub ratio: Option<f64>,
    /// The largest difference of this arm that counts as none, if it is not the report's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
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
            let delta = study.delta_of(arm);
            pairs.push(report.compare(reference, study, arm.expected_sign, delta, mixed_versions));
            report.against = (reference.name != references[0].name).then(|| reference.name.clone());
        }
        let differences = others.iter_mut().zip(&pairs);
        let mut differences: Vec<(&mut Difference, &[f64])> = differences
            .filter_map(|(report, pairs)| Some((report.difference.as_mut()?, pairs.as_slice())))
            .collect();
        statistics::correct(&mut differences);
        let base: Vec<Option<f64>> = arms[0].runs.iter().map(|run| run.seconds_per_step).collect();
        arms.iter_mut().for_each(|arm| arm.step_time = arm.step_time_over(&base));
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
                Quantity::TestError | Quantity::ValidationError | Quantity::TrainingError => "%",
                Quantity::EpochsToTrainingError => "epochs",
                Quantity::LogStepsToTrainingError => "ln steps",
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
            varies_lrn: study.varies_lrn(),
            threshold: {
                let mut ends = study.arms.iter().map(|arm| arm.config.recipe.training_error.stop_at);
                let first = ends.next().unwrap_or(0.0);
                (first > 0.0 && ends.all(|end| end == first)).then_some(100.0 * first)
            },
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

    /// Returns whether a look of a design at these seeds lacks runs: an undecided arm has not been compared there.
    pub fn waits_for_runs(&self, seeds: usize) -> bool {
        let ended = |verdict: Verdict| verdict.is_decided() || verdict == Verdict::NotCompared;
        let open = |arm: &&ArmReport| arm.not_applicable.is_none() && !arm.verdict.is_some_and(ended);
        self.arms.iter().skip(1).filter(open).any(|arm| arm.look.is_none_or(|look| look < seeds))
    }

    /// Returns the difference that counts as none for an arm: its own in an audit, else the ablation's.
    pub(crate) fn delta_of(&self, arm: &ArmReport) -> f64 {
        arm.delta.unwrap_or(self.delta)
    }

    /// Returns the difference that counts as none if it is the same for all arms.
    pub(crate) fn common_delta(&self) -> Option<f64> {
        let mut deltas = self.arms.iter().skip(1).map(|arm| self.delta_of(arm));
        let first = deltas.next()?;
        deltas.all(|delta| delta == first).then_some(first)
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let high = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { high } else { (values[middle - 1] + high) / 2.0 })
}

impl ArmReport {
    fn of(arm: &StudyArm, seeds: &[u64], quantity: Quantity, images: usize, out: &Path) -> Self {
        let mut runs = Vec::new();
        for (folder, &seed) in arm.runs.iter().zip(seeds).filter(|_| arm.not_applicable.is_none()) {
            let mut run = RunReport::new(folder, seed);
            // A run that cannot be read has no result; the others keep theirs.
            if let Err(error) = run.read(arm, quantity, out, images) {
                run.failure = Some(error.to_string());
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
            steps_per_epoch: images.div_ceil(arm.config.recipe.batch_size.max(1)),
            against: None,
            together: arm.together.clone(),
            without: arm.without.clone(),
            step_time: None,
            not_applicable: arm.not_applicable.clone(),
            values: runs.iter().map(value).collect(),
            mean,
            sd,
            never_reached: runs.iter().filter(|run| matches!(run.value, Value::Never(_))).count(),
            difference: None,
            ratio: None,
            delta: arm.delta,
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
        delta: f64,
        mixed_versions: bool,
    ) -> Vec<f64> {
        self.after_look = match study.design {
            Some(_) => None,
            None => AfterLook::of(&self.name, study.seeds.len(), &study.looks),
        };
        let pairs = match &study.design {
            None => {
                let level = LEVEL / study.compared().max(1) as f64;
                let pairs = self.compare_first(usize::MAX, level, reference, delta);
                let missing = |arm: &ArmReport| arm.runs.iter().any(|run| !run.settled);
                self.interim = missing(self) || missing(reference);
                pairs
            }
            Some(design) => {
                let settled = |arm: &ArmReport| arm.runs.iter().take_while(|run| run.settled).count();
                let settled = settled(self).min(settled(reference));
                let mut pairs = Vec::new();
                for look in design.looks.iter().take_while(|look| look.seeds <= settled) {
                    pairs = self.compare_first(look.seeds, look.level, reference, delta);
                    self.look = Some(look.seeds);
                    let verdict = self.difference.as_ref().map(|it| it.verdict(expected_sign, delta));
                    if verdict.is_some_and(Verdict::is_decided) {
                        break;
                    }
                }
                pairs
            }
        };
        let verdict = self.difference.as_ref().map(|found| found.verdict(expected_sign, delta));
        self.verdict = match self.mixed.is_empty() || mixed_versions {
            true => verdict,
            false => verdict.map(|_| Verdict::NotCompared),
        };
        if self.paper_ratio.is_some() && reference.never_reached == 0 {
            self.ratio = match study.quantity {
                Quantity::LogStepsToTrainingError => self.difference.as_ref().map(|found| found.mean.exp()),
                _ => self.mean.zip(reference.mean).map(|(mean, base)| mean / base),
            };
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

    /// Returns the median of the quotients of the seconds of a step, seed by seed.
    fn step_time_over(&self, base: &[Option<f64>]) -> Option<f64> {
        let pairs = self.runs.iter().zip(base);
        let quotients = pairs.filter_map(|(run, base)| Some(run.seconds_per_step? / (*base)?));
        median(quotients.collect())
    }

    /// Compares the first `seeds` seeds at a level. Returns the differences.
    fn compare_first(&mut self, seeds: usize, level: f64, reference: &ArmReport, delta: f64) -> Vec<f64> {
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
        let reached = |run: &RunReport| !matches!(run.value, Value::Never(_));
        let has_value = |run: &RunReport| run.value != Value::Missing;
        let censoring = if both().any(|(run, base)| has_value(run) && !reached(base)) {
            Censoring::Base
        } else if both().any(|(run, base)| !reached(run) && has_value(base)) {
            Censoring::Arm
        } else {
            Censoring::None
        };
        self.difference = Difference::of(&pairs, delta, level).map(|found| found.censored(censoring));
        pairs
    }

    /// Removes the runs of a design's later looks, so that they do not count as missing.
    fn leave_out_what_is_to_come(&mut self) {
        let begun = self.runs.iter().rposition(|run| run.begun).map_or(0, |last| last + 1);
        self.runs.truncate(begun.max(self.look.unwrap_or(0)));
        self.values.truncate(self.runs.len());
    }
}
