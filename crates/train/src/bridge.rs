//! The bridge to burn-train, which brings the dashboard, its metrics and the learner. Every detour that burn-train's
//! interfaces need is in this file:
//!
//! - The loop runs inside a learning strategy, whose `fit` returns no result; the outcome leaves through a mutex.
//! - The learning rate reaches the learner through a scheduler that reads what the loop set.
//! - The optimizer inside the learner is private; only its checkpointers reach its record, so ours hand the records
//!   over through a channel.
//! - `checkpoint` would be both the dashboard's first epoch and a file to load; only the dashboard gets it.
//! - On leaving the dashboard, burn-train resets its interrupter, so the loop keeps the stop itself.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alexnet_data::{Batch, Loader};
use burn::data::dataloader::{DataLoader, Progress as Images};
use burn::module::Module;
use burn::optim::lr_scheduler::{LrScheduler, LrSchedulerRecord};
use burn::optim::{GradientsParams, LearningRate, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::train::checkpoint::{
    Checkpoint as BurnRecord, Checkpointer, CheckpointerError, CheckpointingAction, CheckpointingStrategy,
};
use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, EventStoreClient, MetricsUpdate, Split};
use burn::train::metric::{LearningRateMetric, MetricDefinition, NumericEntry};
use burn::train::renderer::MetricsRenderer;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::{
    EventProcessorTraining, Interrupter, Learner, LearnerEvent, LearningCheckpointer,
    SupervisedLearningStrategy, SupervisedTraining, SupervisedTrainingEventProcessor, TrainLoader,
    TrainOutput, TrainingComponents, TrainingItem, TrainingStrategy, ValidLoader,
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
        let Self { config, environment, start, .. } = self;
        let recipe = &config.recipe;
        let (rate, elapsed) = (SharedRate::default(), Elapsed::default());
        let optimizer = optimizer(&config.network, &recipe.rule(), &elapsed, environment.operations);
        let mut learner = Learner::new(self.model, optimizer, rate.clone());
        let decay = recipe.average_weights;
        let mut average = (decay > 0.0).then(|| Average::of(decay, &learner.model()));
        if start.step > 0 {
            let Records { model, optimizer, average: averaged } = checkpoints.load(&start)?;
            if let Some(record) = averaged {
                average = Some(Average::of(decay, &learner.model().load_record(record)));
            }
            learner.load_model(model);
            // Burn loads the velocities to `Device::default()` before they move to the run's device.
            catch(|| learner.load_optim(optimizer)).map_err(|unexpected| TrainError::Restore {
                path: checkpoints.folder().to_owned(),
                message: format!("{}, at {}", unexpected.message, unexpected.place),
            })?;
        }
        let (model_saver, models) = hand_over();
        let (optimizer_saver, optimizers) = hand_over();
        let (scheduler_saver, _unused) = hand_over::<LrSchedulerRecord>();
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
            .with_custom_checkpointers(model_saver, optimizer_saver, scheduler_saver)
            .with_checkpointing_strategy(Always)
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
        let shared = Shared { rate, elapsed, left, models, optimizers, average };
        let inside: Inside = (Box::new(training), start, shared);
        let inside = Mutex::new(Some(inside));
        let strategy = Strategy { placement: self.placement, inside, outcome: outcome.clone() };
        #[allow(clippy::arc_with_non_send_sync)]
        // burn-train requires an Arc, but stays on this thread
        let strategy = TrainingStrategy::Custom(Arc::new(strategy));
        drop(supervised.with_training_strategy(strategy).launch(learner));
        let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome.unwrap_or_else(not_run)
    }
}

fn not_run() -> Result<(), TrainError> {
    Err(TrainError::Backend { message: "the training loop did not run".to_owned() })
}

/// What the loop and burn-train's parts share.
struct Shared {
    rate: SharedRate,
    elapsed: Elapsed,
    left: TimeLeft,
    models: Receiver<ModuleRecord>,
    optimizers: Receiver<OptimizerRecord>,
    average: Option<Average>,
}

/// The loop, where it starts, and what it shares with burn-train's parts.
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
        mut learner: Learner<Classifier>,
        train: TrainLoader<Classifier>,
        valid: ValidLoader<Classifier>,
        _: usize,
    ) -> (Classifier, SupervisedTrainingEventProcessor<Classifier>) {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((training, start, shared)) = inside else {
            return (learner.model(), components.event_processor);
        };
        let device = self.placement.first();
        let mut bridge = Bridge {
            team: DataParallel::of(&self.placement, &mut learner),
            learner, // the model is already on its devices: no fork, so that towers may be on several
            train: train.to_device(device),
            valid: valid.to_device(&device.clone().inner()),
            events: components.event_processor,
            checkpointer: components.checkpointer.expect("a run always has checkpointers"),
            store: components.event_store,
            interrupter: components.interrupter,
            shared,
        };
        let outcome = training(&mut bridge, start);
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        (bridge.learner.model(), bridge.events)
    }
}

/// The parts of burn-train that the loop uses.
pub(crate) struct Bridge {
    learner: Learner<Classifier>,
    team: Option<DataParallel>,
    train: TrainLoader<Classifier>,
    valid: ValidLoader<Classifier>,
    events: SupervisedTrainingEventProcessor<Classifier>,
    checkpointer: LearningCheckpointer<Classifier>,
    store: Arc<EventStoreClient>,
    interrupter: Interrupter,
    shared: Shared,
}

impl Bridge {
    /// Returns the model with its current weights.
    pub(crate) fn model(&self) -> Classifier {
        self.learner.model()
    }

    /// Returns the model for evaluation, without tracking of gradients: with the average of the weights, if there is one.
    pub(crate) fn evaluated(&self) -> Classifier {
        let model = self.learner.model().valid();
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
            Some(team) => team.step(&self.learner.model(), batch),
            None => Ok(self.learner.train_step(batch)),
        }
    }

    /// Updates the weights. `elapsed` is the fraction of the run's steps before this one, `steps` their number with it.
    pub(crate) fn update(&mut self, gradients: GradientsParams, rate: f64, elapsed: f64, steps: usize) {
        self.shared.rate.set(rate);
        self.shared.elapsed.set(elapsed);
        self.learner.lr_step();
        self.learner.optimizer_step(gradients);
        self.team.iter_mut().for_each(DataParallel::update);
        if let Some(average) = &mut self.shared.average {
            average.update(&self.learner.model(), steps);
        }
    }

    /// Checks that all devices have the same weights.
    pub(crate) fn check_devices(&self) -> Result<(), TrainError> {
        self.team.as_ref().map_or(Ok(()), |team| team.check(&self.learner.model()))
    }

    /// Returns the records of the model, of the optimizer and of the average.
    pub(crate) fn records(&mut self, epoch: usize) -> Result<Records, TrainError> {
        // Burn merges the newest step's running averages only when they are read; a record does not read
        // them.
        let evaluated = self.evaluated();
        self.checkpointer.checkpoint(&self.learner, epoch, &self.store);
        let gone = |_| TrainError::Backend { message: "a checkpoint thread stopped".to_owned() };
        Ok(Records {
            model: self.shared.models.recv().map_err(gone)?,
            optimizer: self.shared.optimizers.recv().map_err(gone)?,
            average: self.shared.average.is_some().then(|| evaluated.into_record()),
        })
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
        let rate = self.learner.lr_current();
        self.event(LearnerEvent::ProcessedItem(TrainingItem::new(score, done, Some(step), Some(rate))));
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

/// The learning rate of the next step. The loop sets it and the learner reads it.
#[derive(Debug, Clone, Default)]
struct SharedRate(Arc<AtomicU64>);

impl SharedRate {
    fn set(&self, rate: f64) {
        self.0.store(rate.to_bits(), Ordering::SeqCst);
    }
}

impl LrScheduler for SharedRate {
    fn step(&mut self) -> LearningRate {
        f64::from_bits(self.0.load(Ordering::SeqCst))
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new()
    }

    fn load_record(&mut self, _: LrSchedulerRecord) {}
}

/// A burn-train checkpointer that sends the record to the loop, which writes all parts of a checkpoint at once.
struct HandOver<R>(Sender<R>);

/// Creates a checkpointer and the receiver of its records.
fn hand_over<R>() -> (HandOver<R>, Receiver<R>) {
    let (sender, receiver) = channel();
    (HandOver(sender), receiver)
}

impl<R: BurnRecord> Checkpointer<R> for HandOver<R> {
    fn save(&self, _: usize, record: R) -> Result<(), CheckpointerError> {
        let _ = self.0.send(record); // the scheduler's record has no receiver
        Ok(())
    }

    fn delete(&self, _: usize) -> Result<(), CheckpointerError> {
        Ok(())
    }

    fn restore(&self, _: usize) -> Result<R, CheckpointerError> {
        Err(CheckpointerError::Unknown("a run restores its checkpoints itself".to_owned()))
    }
}

/// Saves whenever the loop asks for it.
struct Always;

impl CheckpointingStrategy for Always {
    fn checkpointing(&mut self, _: usize, _: &EventStoreClient) -> Vec<CheckpointingAction> {
        vec![CheckpointingAction::Save]
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
