mod fit;
mod folder;
mod kept;
mod label;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use alexnet_data::{Dataset, Views};
use alexnet_ops::Implementation;

pub use folder::{Failure, RunRecord, RunResult, RunStatus, Session};
pub use kept::KeptRun;
pub use label::Label;

use crate::TrainError;
use crate::atomic_write::atomic_write;
use crate::classifier::Classifier;
use crate::config::{FinalWeights, RunConfig};
use crate::environment::{Data, Environment};
use crate::evaluate::{Predictions, evaluate};
use crate::events::Events;
use crate::loaders::evaluation_loader;
use crate::memory;
use crate::metrics_file::{append, cut_back};
use crate::progress::Progress;
use crate::record::EpochRow;
use crate::response::responses;
use crate::unexpected::catch;
use folder::{FAILURE, REPORT};

/// One training: a config, a seed, and a folder named after both and the data.
#[derive(Debug, Clone)]
pub struct Run {
    /// The config.
    pub config: RunConfig,
    /// The seed of every random draw.
    pub seed: u64,
    /// See [`RunConfig::identity`].
    pub identity: String,
    /// The run folder.
    pub folder: PathBuf,
    /// The file of [`Initial::weights`](crate::Initial). It is read once, when training begins.
    pub begins_with: Option<PathBuf>,
}

/// The panic message of burn-train's dashboard when the user kills the training.
const DASHBOARD_KILL: &str = "Killing training";

impl Run {
    /// Creates the run of `config` with `seed` and this form of the operations, in a folder of `out`.
    pub fn new(config: RunConfig, seed: u64, operations: Implementation, data: &Dataset, out: &Path) -> Self {
        let identity = config.identity(data, seed, operations);
        let folder = out.join(format!("{}-{}-seed{seed}-{identity}", config.network.name, data.name));
        Self { config, seed, identity, folder, begins_with: None }
    }

    /// Opens the run in an existing folder.
    ///
    /// # Errors
    /// If there is no readable `run.json`.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let record = Self::read(folder)?;
        Ok(Self {
            config: record.config,
            seed: record.seed,
            identity: record.identity,
            folder: folder.to_owned(),
            begins_with: None,
        })
    }

    /// Trains the missing part and tests the final weights with the config's views. If the run is finished
    /// and has this test, only reads the result.
    ///
    /// # Errors
    /// If the run cannot continue. Its last checkpoint is kept.
    pub fn complete(
        &self,
        data: &Data,
        environment: &Environment,
        label: &str,
        fresh: bool,
    ) -> Result<RunResult, TrainError> {
        self.config.check(&data.dataset)?;
        environment.placement.check(&self.config.network)?;
        environment.placement.check_recipe(&self.config.recipe)?;
        self.check_identity(data, environment)?;
        let views = self.config.evaluation.views;
        if !fresh
            && let RunStatus::Finished(result) = self.status()?
            && result.test(views).is_some()
        {
            return Ok(result);
        }
        fs::create_dir_all(&self.folder).map_err(TrainError::write(&self.folder))?;
        let _lock = self.lock()?;
        if fresh {
            self.clear()?;
        }
        let _ = fs::remove_file(self.file(FAILURE));
        let _ = fs::remove_file(self.file(REPORT));
        let data = data.of(&self.config, self.seed)?;
        let outcome = self.complete_locked(&data, environment, label);
        if let Err(error) = &outcome
            && !error.is_interruption()
        {
            Failure::of(error).keep(&self.folder);
        }
        outcome
    }

    /// Checks that this program computes the results that the run's name denotes.
    fn check_identity(&self, data: &Data, environment: &Environment) -> Result<(), TrainError> {
        let identity = self.config.identity(&data.dataset, self.seed, environment.operations);
        if identity == self.identity {
            return Ok(());
        }
        Err(TrainError::Identity { path: self.folder.clone(), identity })
    }

    fn complete_locked(
        &self,
        data: &Data,
        environment: &Environment,
        label: &str,
    ) -> Result<RunResult, TrainError> {
        let views = self.config.evaluation.views;
        let mut result = match self.status()? {
            RunStatus::Finished(result) => {
                // The training is done. This adds another test, perhaps by another version of the code.
                self.record_session(data, environment, result.epochs + 1)?;
                let _ = self.checkpoints().delete_all(); // left by a kill right after the result was written
                result
            }
            _ => self.guarded(|| self.train(data, environment, label))?,
        };
        if result.test(views).is_none() {
            let predictions = self.predictions_on(data, environment, views)?;
            result.tests.push(predictions.result(views));
            self.keep_answers(&predictions, views)?;
            self.write_json("result.json", &result)?;
        }
        Ok(result)
    }

    /// Computes the class probabilities of the test images with the final weights.
    ///
    /// # Errors
    /// If the run is not finished or its weights cannot be read.
    pub fn predictions(
        &self,
        data: &Data,
        environment: &Environment,
        views: Views,
    ) -> Result<Predictions, TrainError> {
        let mut data = data.of(&self.config, self.seed)?;
        // A run that was fine-tuned from weights with their own preprocessing uses it instead of the data's.
        // If `preprocessing.json` cannot express it (inputs that extend beyond the images), the data's
        // applies.
        if let (false, Some(preprocessing)) = (self.config.initial.weights.is_empty(), self.preprocessing()?)
        {
            let (size, side) = (data.dataset.size, self.config.network.input.size);
            data.statistics = preprocessing.for_run(&data.statistics, size, side).0;
        }
        self.predictions_on(&data, environment, views)
    }

    /// Does the same as [`predictions`](Self::predictions), on data that already match the run.
    fn predictions_on(
        &self,
        data: &Data,
        environment: &Environment,
        views: Views,
    ) -> Result<Predictions, TrainError> {
        self.guarded(|| {
            let model = self.load(&self.weights(), environment)?;
            self.predict(&model, data, environment, views)
        })
    }

    fn predict(
        &self,
        model: &Classifier,
        data: &Data,
        environment: &Environment,
        views: Views,
    ) -> Result<Predictions, TrainError> {
        let test = data.dataset.test.clone();
        let loader = evaluation_loader(
            &self.config,
            test,
            &data.statistics,
            views,
            environment.placement.first(),
            environment.workers,
        )?;
        let at_once = self.config.recipe.batch_size;
        let classes = data.dataset.classes.len();
        evaluate(model.network(), &loader, classes, at_once, &environment.stop)
    }

    /// Runs `work`, which may panic because Burn and drivers panic when they fail. Turns a panic into an
    /// error of this run, so that other runs continue.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, TrainError>) -> Result<T, TrainError> {
        catch(work).unwrap_or_else(|unexpected| {
            if unexpected.message.starts_with(DASHBOARD_KILL) {
                return Err(TrainError::Killed);
            }
            let report = self.file(REPORT);
            let written = fs::write(&report, &unexpected.report).is_ok();
            Err(TrainError::Unexpected {
                message: unexpected.message,
                place: unexpected.place,
                report: if written { report.display().to_string() } else { "not written".to_owned() },
            })
        })
    }

    fn train(&self, data: &Data, environment: &Environment, label: &str) -> Result<RunResult, TrainError> {
        let note = |text: &str| environment.observer.note(&format!("{label}: {text}"));
        let progress = self.checkpoints().newest_whole(note)?.unwrap_or_else(Progress::start);
        self.record_session(data, environment, progress.epoch + 1)?;
        let rows = cut_back(&self.file("metrics.jsonl"), progress.epoch)?;
        alexnet_ops::release_memory(); // otherwise this run would be charged with the memory of earlier ones
        memory::forget_peak();
        let progress = match progress.done {
            true => progress,
            false => self.fit(
                data,
                environment,
                label,
                progress,
                Events::begin(&self.folder, &self.config.network, &rows)?,
            )?,
        };

        let final_epoch = match (self.config.recipe.final_weights, progress.best) {
            (FinalWeights::Best, Some((epoch, _))) => epoch,
            _ => progress.epoch,
        };
        let path = self.checkpoints().evaluated(final_epoch)?;
        let model = self.load(&path, environment)?;
        // From here on only the final weights are used, so the test split may be read.
        let begun = std::time::Instant::now();
        let views = self.config.evaluation.views;
        let predictions = self.predict(&model, data, environment, views)?;
        let test = predictions.result(views);
        if !test.loss.is_finite() {
            let (loss, epoch, step) = (test.loss, final_epoch, progress.step);
            let learning_rate = self.metrics()?.last().map_or(0.0, |row| row.learning_rate);
            return Err(TrainError::Diverged { loss, epoch, step, learning_rate });
        }
        let few = evaluation_loader(
            &self.config,
            data.dataset.validation.clone(),
            &data.statistics,
            Views::Centre,
            environment.placement.first(),
            0,
        )?;
        let result = RunResult {
            epochs: progress.epoch,
            steps: progress.step,
            final_epoch,
            parameters: self.config.network.trace()?.parameters(),
            lrn: responses(&model, &few)?,
            tests: vec![test],
            peak_memory_bytes: memory::peak(),
        };
        let learning_rate = self.metrics()?.last().map_or(0.0, |row| row.learning_rate);
        let row = EpochRow {
            epoch: final_epoch,
            step: progress.step,
            split: "test".to_owned(),
            loss: test.loss,
            top1_error: test.top1_error,
            top5_error: test.top5_error,
            learning_rate,
            seconds: begun.elapsed().as_secs_f64(),
        };
        append(&self.file("metrics.jsonl"), std::slice::from_ref(&row))?;
        self.keep_answers(&predictions, views)?;
        Events::begin(&self.folder, &self.config.network, &self.metrics()?)?;
        self.keep_preprocessing(data)?;
        self.keep_classes(data)?;
        atomic_write(&self.weights(), &fs::read(&path).map_err(TrainError::read(&path))?)?;
        self.write_json("result.json", &result)?;
        let _ = self.checkpoints().delete_all(); // the result does not need them
        Ok(result)
    }
}
