//! The training of a run with burn-train.

use std::path::Path;
use std::sync::{Arc, Mutex};

use alexnet_data::{Draws, Loader, LoaderConfig, Views};
use alexnet_weights::{Weights, WeightsError};
use burn::data::dataloader::DataLoader;
use burn::module::Module;
use burn::optim::lr_scheduler::LrSchedulerRecord;
use burn::tensor::Device;
use burn::train::metric::LearningRateMetric;
use burn::train::renderer::MetricsRenderer;
use burn::train::{Learner, SupervisedTraining, TrainingStrategy};

use super::Run;
use crate::TrainError;
use crate::checkpoint::{Always, Progress, hand_over, load_model};
use crate::classifier::Classifier;
use crate::dashboard::{NoLog, Plain, Speed, TimeLeft};
use crate::environment::{Data, Environment};
use crate::evaluate::evaluation_loader;
use crate::events::Events;
use crate::score::ScoreMetric;
use crate::strategy::{SharedRate, Stopwatch, Training};
use crate::unexpected::catch;
use crate::update::{Elapsed, optimizer};

impl Run {
    /// Trains from `start` to the end with burn-train.
    pub(super) fn fit(
        &self,
        data: &Data,
        environment: &Environment,
        label: &str,
        start: Progress,
        events: Events,
    ) -> Result<Progress, TrainError> {
        let (config, recipe) = (&self.config, &self.config.recipe);
        let placement = environment.placement.autodiff();
        let device = placement.first().clone();
        let train = Loader::new(
            data.dataset.train.clone(),
            &data.statistics,
            LoaderConfig {
                batch_size: recipe.batch_size,
                side: config.network.input.size,
                padding: config.data.augmentation.crop.padding,
                mean: config.data.mean,
                scale: config.data.scale,
                upload: environment.upload,
                draws: Draws::Training { seed: self.seed, augmentation: config.data.augmentation },
                workers: environment.workers,
            },
            device.clone(),
        )?;
        let evaluation = |split| {
            evaluation_loader(
                config,
                split,
                &data.statistics,
                Views::Centre,
                environment.placement.first(),
                environment.workers,
            )
        };
        let valid = evaluation(data.dataset.validation.clone())?;
        let train_evaluated = match recipe.training_error.images {
            0 => None,
            images => Some(evaluation(data.dataset.train.first(images))?),
        };
        let (rate, elapsed) = (SharedRate::default(), Elapsed::default());
        let operations = environment.operations;
        let mut learner = Learner::new(
            match start.step {
                0 => self.begin(placement.towers())?,
                _ => Classifier::new_on(&config.network, self.seed, placement.towers())?,
            }
            .with_operations(operations),
            optimizer(&config.network, recipe.momentum, recipe.weight_decay, &elapsed, operations),
            rate.clone(),
        );
        if start.step > 0 {
            let (model, optimizer) = self.checkpoints().load(&start)?;
            learner.load_model(model);
            // Burn loads the velocities to `Device::default()` before they move to the run's device.
            catch(|| learner.load_optim(optimizer)).map_err(|unexpected| TrainError::Restore {
                path: self.checkpoints().folder().to_owned(),
                message: format!("{}, at {}", unexpected.message, unexpected.place),
            })?;
        }
        let (model_saver, model_records) = hand_over();
        let (optimizer_saver, optimizer_records) = hand_over();
        let (scheduler_saver, _unused) = hand_over::<LrSchedulerRecord>();
        let outcome = Arc::new(Mutex::new(None));
        let first_epoch = start.epoch;
        let left = TimeLeft::default();
        let strategy = Training {
            label: label.to_owned(),
            recipe: recipe.clone(),
            device,
            placement,
            train: train.clone(),
            train_evaluated,
            rate,
            elapsed,
            start,
            checkpoints: self.checkpoints(),
            model_records,
            optimizer_records,
            metrics: self.file("metrics.jsonl"),
            events,
            left: left.clone(),
            last_checkpoint: Stopwatch::start(),
            observer: environment.observer.clone(),
            stop: environment.stop.clone(),
            outcome: outcome.clone(),
        };
        let metrics = (ScoreMetric::loss(), ScoreMetric::top1_error(), ScoreMetric::top5_error());
        let training = SupervisedTraining::new(&self.folder, as_loader(train), as_loader(valid))
            .metrics(metrics)
            .metric_train_numeric(LearningRateMetric::new())
            .metric_train_numeric(Speed::default())
            .metric_train(left)
            .with_metric_logger(NoLog)
            .with_application_logger(None)
            .with_custom_checkpointers(model_saver, optimizer_saver, scheduler_saver)
            .with_checkpointing_strategy(Always)
            .num_epochs(recipe.epochs)
            .label(label);
        // burn-train uses `checkpoint` as the dashboard's first epoch, but would also load it. The checkpoint
        // is already loaded, so only the dashboard gets this value.
        let training = match environment.dashboard {
            true => {
                let from = (first_epoch > 0).then_some(first_epoch);
                let renderer =
                    burn::train::renderer::tui::TuiMetricsRendererWrapper::new(training.interrupter(), from);
                training.renderer(Box::new(renderer) as Box<dyn MetricsRenderer>)
            }
            false => training.renderer(Box::new(Plain::new(environment.observer.clone(), first_epoch))),
        };
        #[allow(clippy::arc_with_non_send_sync)]
        // burn-train requires an Arc, but stays on this thread
        let strategy = TrainingStrategy::Custom(Arc::new(strategy));
        drop(training.with_training_strategy(strategy).launch(learner));
        let outcome = outcome.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        outcome.unwrap_or_else(|| {
            Err(TrainError::Backend { message: "the training loop did not run".to_owned() })
        })?;
        // The loop ends by writing a checkpoint.
        Ok(self.checkpoints().newest()?.unwrap_or_else(Progress::start))
    }

    /// Creates the classifier with its initial weights.
    fn begin(&self, devices: &[Device]) -> Result<Classifier, TrainError> {
        let (network, initial) = (&self.config.network, &self.config.initial);
        if initial.weights.is_empty() {
            return Classifier::new_on(network, self.seed, devices);
        }
        let Some(path) = &self.begins_with else {
            let problem = format!("{} are needed and were not given", initial.weights);
            return Err(TrainError::Config { key: "initial.weights", problem });
        };
        let wrong = |source: WeightsError| TrainError::Initial { path: path.clone(), source };
        let weights = Weights::read(path).map_err(wrong)?;
        Ok(weights.begin(network, &initial.anew, self.seed, devices).map_err(wrong)?.into())
    }

    /// Loads the classifier with the weights of a file.
    pub(super) fn load(&self, path: &Path, environment: &Environment) -> Result<Classifier, TrainError> {
        let (record, devices) = (load_model(path)?, environment.placement.towers());
        let model = Classifier::new_on(&self.config.network, self.seed, devices)?.load_record(record);
        Ok(model.with_operations(environment.operations))
    }
}

fn as_loader(loader: Loader) -> Arc<dyn DataLoader<alexnet_data::Batch>> {
    Arc::new(loader)
}
