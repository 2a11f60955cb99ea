//! What a report takes from the folder of a run.

use std::collections::BTreeSet;
use std::path::Path;

use alexnet_study::StudyArm;
use alexnet_study::ablation::Quantity;
use alexnet_study::versions::Version;
use alexnet_train::{EpochRow, Failure, LrnResponse, PredictedClasses, Run, RunStatus, TrainError};
use serde::Serialize;

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
    /// The mean time of a training step, with the wait for its batch.
    #[serde(skip)]
    pub(crate) seconds_per_step: Option<f64>,
    pub peak_memory_bytes: Option<u64>,
    pub test_top1_error: Option<f64>,
    pub test_top5_error: Option<f64>,
    pub test_loss: Option<f64>,
    #[serde(skip)]
    pub rows: Vec<EpochRow>,
    /// Whether the run has a result or diverged, so that a look does not wait for it.
    #[serde(skip)]
    pub(crate) settled: bool,
    /// Whether the run has any files.
    #[serde(skip)]
    pub(crate) begun: bool,
    #[serde(skip)]
    pub(crate) value: Value,
    #[serde(skip)]
    pub(crate) lrn: Vec<LrnResponse>,
    #[serde(skip)]
    pub(crate) answers: Option<PredictedClasses>,
}

/// The quantity of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Missing,
    /// The run did not reach the target in this many epochs, or in as many steps as this is the logarithm of.
    Never(f64),
    Is(f64),
}

impl Value {
    fn ln(self) -> Self {
        match self {
            Self::Missing => Self::Missing,
            Self::Never(value) => Self::Never(value.ln()),
            Self::Is(value) => Self::Is(value.ln()),
        }
    }
}

impl RunReport {
    pub(crate) fn new(folder: &str, seed: u64) -> Self {
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
            seconds_per_step: None,
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
    ///
    /// # Errors
    /// If a file of the run cannot be read.
    pub(crate) fn read(
        &mut self,
        arm: &StudyArm,
        quantity: Quantity,
        out: &Path,
        images: usize,
    ) -> Result<(), TrainError> {
        let folder = out.join(&self.folder);
        let failed = Failure::read(&folder);
        self.settled = failed.as_ref().is_some_and(|failure| failure.diverged);
        self.begun = failed.is_some();
        let or_why = |otherwise: &str| failed.as_ref().map_or(otherwise, |failure| &failure.why).to_owned();
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
        let train: Vec<&EpochRow> = self.rows.iter().filter(|row| row.split == "train").collect();
        if let Some(last) = train.last() {
            let seconds: f64 = train.iter().map(|row| row.seconds).sum();
            self.train_seconds = Some(seconds);
            // The last epoch may have ended early, at a training error.
            let seen = (last.epoch * images).min(last.step * arm.config.recipe.batch_size);
            self.images_per_second = Some(seen as f64 / seconds.max(1e-9));
            self.seconds_per_step = Some(seconds.max(1e-9) / last.step.max(1) as f64);
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
        self.settled = true;
        self.epochs = Some(result.epochs);
        self.test_top1_error = Some(test.top1_error);
        self.test_top5_error = Some(test.top5_error);
        self.test_loss = Some(test.loss);
        self.value = match quantity {
            Quantity::TestError => Value::Is(100.0 * test.top1_error),
            Quantity::ValidationError => {
                let of = |row: &&EpochRow| row.split == "validation" && row.epoch == result.final_epoch;
                self.rows.iter().find(of).map_or(Value::Missing, |row| Value::Is(100.0 * row.top1_error))
            }
            Quantity::TrainingError => {
                let of = |row: &&EpochRow| row.split == "train-evaluated" && row.epoch == result.final_epoch;
                let Some(row) = self.rows.iter().rfind(of) else {
                    let missing = "its training error was not taken; set `recipe.training_error.images`";
                    self.failure = Some(missing.to_owned());
                    return Ok(());
                };
                Value::Is(100.0 * row.top1_error)
            }
            Quantity::EpochsToTrainingError => {
                let start = 1.0 - 1.0 / arm.config.network.classes as f64;
                let steps = images.div_ceil(arm.config.recipe.batch_size.max(1));
                let target = arm.config.recipe.training_error.stop_at;
                crossing(&self.rows, start, target, |row| epochs_at(row, steps))
            }
            Quantity::LogStepsToTrainingError => {
                let start = 1.0 - 1.0 / arm.config.network.classes as f64;
                crossing(&self.rows, start, arm.config.recipe.training_error.stop_at, |row| row.step as f64)
                    .ln()
            }
        };
        self.lrn = result.lrn;
        Ok(())
    }
}

/// Returns the epochs that were trained before a pass, with the part of an epoch for passes every few steps.
pub(crate) fn epochs_at(row: &EpochRow, steps_per_epoch: usize) -> f64 {
    let before = row.epoch.saturating_sub(1);
    let steps = row.step.saturating_sub(before * steps_per_epoch);
    before as f64 + (steps as f64 / steps_per_epoch.max(1) as f64).min(1.0)
}

/// Returns the epoch or step, as `at` has it, at which the training error falls to `target`, interpolated between
/// passes. Before the first step, the error is assumed to be that of chance, `start`.
fn crossing(rows: &[EpochRow], start: f64, target: f64, at: impl Fn(&EpochRow) -> f64) -> Value {
    let mut before = (0.0, start);
    for row in rows.iter().filter(|row| row.split == "train-evaluated") {
        let now = (at(row), row.top1_error);
        if now.1 <= target {
            let share = (before.1 - target) / (before.1 - now.1).max(f64::MIN_POSITIVE);
            return Value::Is(before.0 + share.clamp(0.0, 1.0) * (now.0 - before.0));
        }
        before = now;
    }
    if before.0 == 0.0 { Value::Missing } else { Value::Never(before.0) }
}

pub(crate) fn mean_responses(runs: &[RunReport]) -> Vec<LrnResponse> {
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
        let epochs = |row: &EpochRow| epochs_at(row, 1);
        assert_eq!(crossing(&rows, 0.9, 0.25, epochs), Value::Is(2.5));
        assert_eq!(crossing(&rows[..1], 0.9, 0.7, epochs), Value::Is(0.5000000000000001));
        assert_eq!(crossing(&rows[..2], 0.9, 0.25, epochs), Value::Never(2.0));
        assert_eq!(crossing(&[], 0.9, 0.25, epochs), Value::Missing);
        assert_eq!(crossing(&rows[..1], 0.9, 0.5, |row| row.step as f64).ln(), Value::Is(0.0));
    }

    #[test]
    fn passes_within_an_epoch_are_parts_of_it() {
        // Epochs of 10 steps, a pass every 4.
        let rows: Vec<EpochRow> = [(1, 4, 0.8), (1, 8, 0.6), (2, 12, 0.4), (2, 16, 0.2)]
            .map(|(epoch, step, error)| EpochRow { step, ..row(epoch, error) })
            .into();
        let at: Vec<f64> = rows.iter().map(|row| epochs_at(row, 10)).collect();
        assert_eq!(at, [0.4, 0.8, 1.2, 1.6]);
        let Value::Is(value) = crossing(&rows, 0.9, 0.3, |row| epochs_at(row, 10)) else {
            panic!("it crosses")
        };
        assert!((value - 1.4).abs() < 1e-12, "{value}");
    }
}
