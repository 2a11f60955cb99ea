//! The bridge to burn-train, which brings the dashboard and its metrics. Every detour that burn-train's interfaces need is in
//! this file:
//!
//! - The loop runs inside a learning strategy, whose `fit` returns no result; the outcome leaves through a mutex.
//! - The learner brings the model to the strategy and no more, because its optimizer is private. The loop has its own.
//! - `checkpoint` would be both the dashboard's first epoch and a file to load; only the dashboard gets it.
//! - On leaving the dashboard, burn-train resets its interrupter, so the loop keeps the stop itself.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alexnet_data::{Batch, Loader};
use burn::data::dataloader::{DataLoader, Progress as Images};
use burn::module::Module;
use burn::optim::{GradientsParams, SgdConfig};
use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{LearningRateMetric, MetricDefinition, NumericEntry};
use burn::train::renderer::MetricsRenderer;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::{
    EventProcessorTraining, Interrupter, Learner, LearnerEvent, SupervisedLearningStrategy,
    SupervisedTraining, SupervisedTrainingEventProcessor, TrainLoader, TrainOutput, TrainStep,
    TrainingComponents, TrainingItem, TrainingStrategy, ValidLoader,
};

use crate::TrainError;
use crate::average::Average;
use crate::checkpoint::{Checkpoints, Records};
use crate::classifier::Classifier;
use crate::config::RunConfig;
use crate::dashboard::{Plain, Speed, TimeLeft};
use crate::environment::Environment;
use crate::parallel::DataParallel;
use crate::placement::Placement;
use crate::progress::Progress;
use crate::rule::optimizer;
use crate::score::Score;
use crate::score_metric::ScoreMetric;
use crate::unexpected::catch;
use crate::update::Elapsed;
use crate::updater::Updater;

/// A training that burn-train carries out.
pub(crate) struct Launch<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) label: &'a str,
    pub(crate) config: &'a RunConfig,
    pub(crate) environment: &'a Environment,
    /// Devices that track gradients.
    pub(crate) placement: Placement,
    pub(crate) model: Classifier,
    pub(crate) train: Loader,
    pub(crate) valid: Loader,
    pub(crate) start: Progress,
}

impl Launch<'_> {
    /// Runs `training`, the loop, from `start`.
    pub(crate) fn run(
        self,
        training: impl FnOnce(&mut Bridge, Progress) -> Result<(), TrainError> + 'static,
        checkpoints: &Checkpoints,
    ) -> Result<(), TrainError> {
        let Self { config, environment, start, mut model, .. } = self;
        let (recipe, elapsed) = (&config.recipe, Elapsed::default());
        let mut updater = optimizer(&config.network, &recipe.rule(), &elapsed, environment.operations);
        let decay = recipe.average_weights;
        let mut average = (decay > 0.0).then(|| Average::of(decay, &model));
        if start.step > 0 {
            let records = checkpoints.load(&start)?;
            if let Some(record) = records.average {
                average = Some(Average::of(decay, &model.clone().load_record(record)));
            }
            model = model.load_record(records.model);
            // Burn loads the velocities to `Device::default()` before they move to the run's device.
            let loaded = catch(|| updater.load_record(records.optimizer));
            updater = loaded.map_err(|unexpected| TrainError::Restore {
                path: checkpoints.folder().to_owned(),
                message: format!("{}, at {}", unexpected.message, unexpected.place),
            })?;
        }
        let left = TimeLeft::default();
        // The first has its chart open, and is all that 80 columns and 24 rows have room for.
        let metrics = (ScoreMetric::top1_error(), ScoreMetric::loss(), ScoreMetric::top5_error());
        let (train, valid): (Arc<dyn DataLoader<Batch>>, Arc<dyn DataLoader<Batch>>) =
            (Arc::new(self.train), Arc::new(self.valid));
        let supervised = SupervisedTraining::new(self.folder, train, valid)
            .metrics(metrics)
            .metric_train_numeric(LearningRateMetric::new())
            .metric_train_numeric(Speed::default())
            .metric_train_numeric(left.clone())
            .with_metric_logger(NoLog)
            .with_application_logger(None)
            .num_epochs(recipe.epochs)
            .label(self.label);
        let supervised = match environment.dashboard {
            true => {
                let from = (start.epoch > 0).then_some(start.epoch);
                let renderer = TuiMetricsRendererWrapper::new(supervised.interrupter(), from);
                supervised.renderer(Box::new(renderer) as Box<dyn MetricsRenderer>)
            }
            false => supervised.renderer(Box::new(Plain::new(environment.observer.clone(), start.epoch))),
        };
        let outcome = Arc::new(Mutex::new(None));
        let shared = Shared { updater, elapsed, left, average };
        let inside: Inside = (Box::new(training), start, shared);
        let inside = Mutex::new(Some(inside));
        let strategy = Strategy { placement: self.placement, inside, outcome: outcome.clone() };
        #[allow(clippy::arc_with_non_send_sync)]
        // burn-train requires an Arc, but stays on this thread
        let strategy = TrainingStrategy::Custom(Arc::new(strategy));
        let learner = Learner::new(model, SgdConfig::new().init(), 0.0);
        drop(supervised.with_training_strategy(strategy).launch(learner));
        let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome.unwrap_or_else(not_run)
    }
}

fn not_run() -> Result<(), TrainError> {
    Err(TrainError::Backend { message: "the training loop did not run".to_owned() })
}

/// The state that the loop changes, apart from the model.
struct Shared {
    updater: Updater,
    elapsed: Elapsed,
    left: TimeLeft,
    average: Option<Average>,
}

/// The loop, where it starts, and what it changes.
type Inside = (Box<dyn FnOnce(&mut Bridge, Progress) -> Result<(), TrainError>>, Progress, Shared);

/// The loop as a learning strategy.
struct Strategy {
    placement: Placement,
    inside: Mutex<Option<Inside>>,
    outcome: Arc<Mutex<Option<Result<(), TrainError>>>>,
}

impl SupervisedLearningStrategy<Classifier> for Strategy {
    fn fit(
        &self,
        components: TrainingComponents<Classifier>,
        learner: Learner<Classifier>,
        train: TrainLoader<Classifier>,
        valid: ValidLoader<Classifier>,
        _: usize,
    ) -> (Classifier, SupervisedTrainingEventProcessor<Classifier>) {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut model = learner.model();
        drop(learner); // which would keep the first weights
        let Some((training, start, shared)) = inside else {
            return (model, components.event_processor);
        };
        let device = self.placement.first();
        let mut bridge = Bridge {
            team: DataParallel::of(&self.placement, &mut model, &shared.updater),
            model, // it is already on its devices: no fork, so that towers may be on several
            rate: 0.0,
            train: train.to_device(device),
            valid: valid.to_device(&device.clone().inner()),
            events: components.event_processor,
            interrupter: components.interrupter,
            shared,
        };
        let outcome = training(&mut bridge, start);
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        (bridge.model, bridge.events)
    }
}

/// The parts of burn-train that the loop uses.
pub(crate) struct Bridge {
    model: Classifier,
    /// The learning rate of the latest step.
    rate: f64,
    team: Option<DataParallel>,
    train: TrainLoader<Classifier>,
    valid: ValidLoader<Classifier>,
    events: SupervisedTrainingEventProcessor<Classifier>,
    interrupter: Interrupter,
    shared: Shared,
}

impl Bridge {
    /// Returns the model with its current weights.
    pub(crate) fn model(&self) -> Classifier {
        self.model.clone()
    }

    /// Returns the model for evaluation, without tracking of gradients: with the average of the weights, if there is one.
    pub(crate) fn evaluated(&self) -> Classifier {
        let model = self.model.valid();
        match &self.shared.average {
            Some(average) => average.model(model),
            None => model,
        }
    }

    /// Returns the training batches of the epoch that the loader is set to.
    pub(crate) fn training(&self) -> TrainLoader<Classifier> {
        self.train.clone()
    }

    /// Returns the validation batches.
    pub(crate) fn validation(&self) -> ValidLoader<Classifier> {
        self.valid.clone()
    }

    /// Computes the gradients and the score of a batch.
    pub(crate) fn step(&mut self, batch: Batch) -> Result<TrainOutput<Score>, TrainError> {
        match &mut self.team {
            Some(team) => team.step(&self.model, batch),
            None => Ok(TrainStep::step(&self.model, batch)),
        }
    }

    /// Updates the weights. `elapsed` is the fraction of the run's steps before this one, `steps` their number with it.
    pub(crate) fn update(&mut self, gradients: GradientsParams, rate: f64, elapsed: f64, steps: usize) {
        self.rate = rate;
        self.shared.elapsed.set(elapsed);
        self.model = self.shared.updater.step(rate, self.model.clone(), gradients);
        self.team.iter_mut().for_each(|team| team.update(rate));
        if let Some(average) = &mut self.shared.average {
            average.update(&self.model, steps);
        }
    }

    /// Checks that all devices have the same weights.
    pub(crate) fn check_devices(&self) -> Result<(), TrainError> {
        self.team.as_ref().map_or(Ok(()), |team| team.check(&self.model))
    }

    /// Returns the records of the model, of the optimizer and of the average.
    pub(crate) fn records(&self) -> Records {
        // Burn merges the newest step's running averages only when they are read; a record does not read
        // them.
        let evaluated = self.evaluated();
        Records {
            model: self.model.clone().into_record(),
            optimizer: self.shared.updater.to_record(),
            average: self.shared.average.is_some().then(|| evaluated.into_record()),
        }
    }

    /// Shows the estimate of the time left for all runs.
    pub(crate) fn show_time_left(&self, left: Option<Duration>) {
        self.shared.left.set(left);
    }

    pub(crate) fn training_begins(&mut self, epoch: usize) {
        let total_items = self.train.num_items();
        self.event(LearnerEvent::StartSplit { epoch_number: epoch, total_items });
    }

    pub(crate) fn trained(&mut self, score: Score, done: Images, step: usize) {
        let rate = Some(self.rate.into());
        self.event(LearnerEvent::ProcessedItem(TrainingItem::new(score, done, Some(step), rate)));
    }

    pub(crate) fn training_ends(&mut self, epoch: usize) {
        self.event(LearnerEvent::EndSplit(epoch));
    }

    pub(crate) fn validation_begins(&mut self, epoch: usize) {
        let total_items = self.valid.num_items();
        self.valid_event(LearnerEvent::StartSplit { epoch_number: epoch, total_items });
    }

    pub(crate) fn validated(&mut self, score: Score, done: Images) {
        self.valid_event(LearnerEvent::ProcessedItem(TrainingItem::new(score, done, None, None)));
    }

    pub(crate) fn validation_ends(&mut self, epoch: usize) {
        self.valid_event(LearnerEvent::EndSplit(epoch));
        self.event(LearnerEvent::EndEpoch(epoch));
    }

    /// Returns whether the dashboard asks for a stop.
    pub(crate) fn should_stop(&self) -> Result<bool, TrainError> {
        match self.interrupter.error() {
            Some(error) => Err(TrainError::Backend { message: error.to_string() }),
            None => Ok(self.interrupter.should_stop()),
        }
    }

    fn event(&mut self, event: LearnerEvent<Score>) {
        let result = self.events.process_train(event);
        self.interrupter.fail_on_error(result);
    }

    fn valid_event(&mut self, event: LearnerEvent<Score>) {
        let result = self.events.process_valid(event);
        self.interrupter.fail_on_error(result);
    }
}

/// A metric logger that stores nothing. `metrics.jsonl` is the run's only record.
struct NoLog;

impl MetricLogger for NoLog {
    fn log(&mut self, _: MetricsUpdate, _: usize, _: &Split) {}

    fn read_numeric(&mut self, _: &str, _: usize, _: &Split) -> Result<Vec<NumericEntry>, String> {
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, _: MetricDefinition) {}
    fn log_epoch_summary(&mut self, _: EpochSummary) {}
}
