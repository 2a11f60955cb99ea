//! The training loop, as a learning strategy for burn-train.
//!
//! ```text
//! for each epoch:
//!     train:     order, augmentation and dropout are functions of (seed, epoch, sample)
//!                a non-finite loss or gradient ends the run before the weights change
//!                an interruption, or ten minutes: write a checkpoint in mid-epoch
//!     train-evaluated, if enabled; validation
//!     update the plateau schedule and the best epoch
//!     append to metrics.jsonl; then write the checkpoint atomically
//! ```
//!
//! Burn's own strategies are not used: they do not resume exactly (their random state is not in a
//! checkpoint), move the whole model to one device, and do not stop at NaN.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alexnet_data::{Loader, hook};
use burn::data::dataloader::DataLoader;
use burn::module::Module;
use burn::optim::lr_scheduler::{LrScheduler, LrSchedulerRecord};
use burn::optim::{GradientsParams, LearningRate, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Device;
use burn::train::metric::store::EventStoreClient;
use burn::train::{
    EventProcessorTraining, InferenceStep, Interrupter, Learner, LearnerEvent, LearningCheckpointer,
    SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents,
    TrainingItem, ValidLoader,
};

use crate::TrainError;
use crate::checkpoint::{Checkpoints, Part, Progress};
use crate::classifier::Classifier;
use crate::config::{FinalWeights, Recipe};
use crate::dashboard::TimeLeft;
use crate::events::Events;
use crate::gradients;
use crate::observer::Observer;
use crate::parallel::Team;
use crate::placement::Placement;
use crate::record::{EpochRow, append};
use crate::schedule::{Place, Schedule};
use crate::score::Score;
use crate::update::Elapsed;

/// The longest time between checkpoints in a training pass.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(600);

/// The learning rate of the next step. The loop sets it and the learner reads it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedRate(Arc<AtomicU64>);

impl SharedRate {
    fn set(&self, rate: f64) {
        self.0.store(rate.to_bits(), Ordering::SeqCst);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::SeqCst))
    }
}

impl LrScheduler for SharedRate {
    fn step(&mut self) -> LearningRate {
        self.get()
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new()
    }

    fn load_record(&mut self, _: LrSchedulerRecord) {}
}

/// A start time behind a shared reference.
#[derive(Debug)]
pub(crate) struct Stopwatch(Mutex<Instant>);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn restart(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// One run's training loop.
pub(crate) struct Training {
    pub(crate) label: String,
    pub(crate) recipe: Recipe,
    pub(crate) device: Device,
    pub(crate) placement: Placement,
    /// The loader inside the learner's loader. The loop sets its epoch.
    pub(crate) train: Loader,
    pub(crate) train_evaluated: Option<Loader>,
    pub(crate) rate: SharedRate,
    pub(crate) elapsed: Elapsed,
    pub(crate) start: Progress,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) model_records: Receiver<ModuleRecord>,
    pub(crate) optimizer_records: Receiver<OptimizerRecord>,
    pub(crate) metrics: PathBuf,
    pub(crate) events: Events,
    pub(crate) left: TimeLeft,
    pub(crate) last_checkpoint: Stopwatch,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) outcome: Arc<Mutex<Option<Result<(), TrainError>>>>,
}

/// The parts of burn-train that the loop uses.
struct Parts {
    learner: Learner<Classifier>,
    team: Option<Team>,
    train: TrainLoader<Classifier>,
    valid: ValidLoader<Classifier>,
    events: SupervisedTrainingEventProcessor<Classifier>,
    checkpointer: LearningCheckpointer<Classifier>,
    store: Arc<EventStoreClient>,
    interrupter: Interrupter,
}

impl SupervisedLearningStrategy<Classifier> for Training {
    fn fit(
        &self,
        components: TrainingComponents<Classifier>,
        mut learner: Learner<Classifier>,
        train: TrainLoader<Classifier>,
        valid: ValidLoader<Classifier>,
        _: usize,
    ) -> (Classifier, SupervisedTrainingEventProcessor<Classifier>) {
        let mut parts = Parts {
            team: Team::of(&self.placement, &mut learner),
            learner, // the model is already on its devices: no fork, so that towers may be on several
            train: train.to_device(&self.device),
            valid: valid.to_device(&self.device.clone().inner()),
            events: components.event_processor,
            checkpointer: components.checkpointer.expect("a run always has checkpointers"),
            store: components.event_store,
            interrupter: components.interrupter,
        };
        let mut progress = self.start.clone();
        let mut outcome = self.train(&mut parts, &mut progress);
        if let Err(TrainError::Interrupted { .. }) = outcome
            && let Err(error) = self.checkpoint(&mut parts, &progress)
        {
            outcome = Err(error);
        }
        *self.outcome.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(outcome);
        (parts.learner.model(), parts.events)
    }
}

impl Training {
    /// Trains to the end. `progress` always describes the current weights and velocities.
    fn train(&self, parts: &mut Parts, progress: &mut Progress) -> Result<(), TrainError> {
        while !progress.done {
            let epoch = progress.epoch + 1;
            let mut rows = vec![self.train_epoch(parts, epoch, progress)?];
            let (step, rate) = (progress.step, self.rate.get());
            let mut reached = false;
            if let Some(loader) = &self.train_evaluated {
                let begun = Instant::now();
                let score = self.evaluate_quietly(parts, loader, progress)?;
                self.check_loss(score.loss(), progress)?;
                reached = self.recipe.training_error.ends_at(score.top1_error());
                rows.push(EpochRow::new(
                    epoch,
                    step,
                    "train-evaluated",
                    &score,
                    rate,
                    begun.elapsed().as_secs_f64(),
                ));
            }
            let begun = Instant::now();
            let score = self.validate(parts, epoch, progress)?;
            self.check_loss(score.loss(), progress)?;
            rows.push(EpochRow::new(epoch, step, "validation", &score, rate, begun.elapsed().as_secs_f64()));
            parts.event(LearnerEvent::EndEpoch(epoch));

            let error = score.top1_error();
            if let Schedule::Plateau(plateau) = &self.recipe.schedule {
                progress.plateau.observe(plateau, error);
            }
            if progress.best.is_none_or(|(_, best)| error < best) {
                progress.best = Some((epoch, error));
            }
            progress.epoch = epoch;
            progress.done = epoch == self.recipe.epochs || reached;
            progress.part = Part::default();
            append(&self.metrics, &rows)?;
            self.events.append(&rows)?;
            self.checkpoint(parts, progress)?;
            self.observer.epoch(&self.label, &rows);
        }
        Ok(())
    }

    fn train_epoch(
        &self,
        parts: &mut Parts,
        epoch: usize,
        progress: &mut Progress,
    ) -> Result<EpochRow, TrainError> {
        self.placement.check_model(&parts.learner.model())?;
        let mut begun = Instant::now();
        let per_epoch = self.train.num_batches();
        let steps = per_epoch * self.recipe.epochs;
        let recipe = &self.recipe;
        let rate = |step: usize, progress: &Progress| {
            let place = Place { epoch, step, steps };
            recipe.schedule.rate(recipe.learning_rate, recipe.warmup_steps, place, &progress.plateau)
        };
        self.train.set_epoch(epoch, progress.part.batches);
        if progress.part.batches > 0 {
            self.rate.set(rate(progress.step - 1, progress)); // for the case that only validation is left
        }
        parts.event(LearnerEvent::StartSplit { epoch_number: epoch, total_items: parts.train.num_items() });
        let train = parts.train.clone();
        let mut batches = train.iter();
        while let Some(batch) = batches.next() {
            let batch = batch.map_err(|error| TrainError::Backend { message: error.to_string() })?;
            self.rate.set(rate(progress.step, progress));
            self.elapsed.set(progress.step as f64 / steps as f64);
            let output = match &mut parts.team {
                Some(team) => team.step(&parts.learner.model(), batch)?,
                None => parts.learner.train_step(batch),
            };
            progress.step += 1;
            parts.learner.model().check_gradients(&output.grads)?;
            self.check_loss(output.item.loss(), progress)?;
            self.check_finite(&parts.learner.model(), &output.grads, progress)?;
            parts.learner.lr_step();
            parts.learner.optimizer_step(output.grads);
            parts.team.iter_mut().for_each(Team::update);
            progress.part.batches += 1;
            progress.part.score.join(&output.item);
            progress.part.seconds += begun.elapsed().as_secs_f64();
            begun = Instant::now();
            let done = (progress.epoch * per_epoch + progress.part.batches) as f64 / steps as f64;
            self.left.set(self.observer.progress(&self.label, done));
            let rate = parts.learner.lr_current();
            let item = TrainingItem::new(output.item, batches.progress(), Some(progress.step), Some(rate));
            parts.event(LearnerEvent::ProcessedItem(item));
            self.check_stop(parts, progress)?;
            if self.last_checkpoint.elapsed() >= CHECKPOINT_EVERY && progress.part.batches < per_epoch {
                self.checkpoint(parts, progress)?;
            }
        }
        let Part { score, seconds, .. } = &progress.part;
        check_complete(score.images, train.num_items())?;
        parts.team.as_ref().map_or(Ok(()), |team| team.check(&parts.learner.model()))?;
        parts.event(LearnerEvent::EndSplit(epoch));
        Ok(EpochRow::new(epoch, progress.step, "train", score, self.rate.get(), *seconds))
    }

    fn validate(&self, parts: &mut Parts, epoch: usize, progress: &Progress) -> Result<Score, TrainError> {
        let model = parts.learner.model().valid();
        let valid = parts.valid.clone();
        parts.valid_event(LearnerEvent::StartSplit { epoch_number: epoch, total_items: valid.num_items() });
        let mut total = Score::default();
        let mut batches = valid.iter();
        while let Some(batch) = batches.next() {
            let batch = batch.map_err(|error| TrainError::Backend { message: error.to_string() })?;
            let score = InferenceStep::step(&model, batch);
            total.join(&score);
            parts.valid_event(LearnerEvent::ProcessedItem(TrainingItem::new(
                score,
                batches.progress(),
                None,
                None,
            )));
            self.check_stop(parts, progress)?;
        }
        check_complete(total.images, valid.num_items())?;
        parts.valid_event(LearnerEvent::EndSplit(epoch));
        Ok(total)
    }

    /// Evaluates in evaluation mode without showing it on the dashboard.
    fn evaluate_quietly(
        &self,
        parts: &Parts,
        loader: &Loader,
        progress: &Progress,
    ) -> Result<Score, TrainError> {
        let model = parts.learner.model().valid();
        let mut total = Score::default();
        for batch in loader.iter() {
            let batch = batch.map_err(|error| TrainError::Backend { message: error.to_string() })?;
            total.join(&InferenceStep::step(&model, batch));
            self.check_stop(parts, progress)?;
        }
        check_complete(total.images, loader.num_items())?;
        Ok(total)
    }

    fn checkpoint(&self, parts: &mut Parts, progress: &Progress) -> Result<(), TrainError> {
        // Burn merges the newest step's running averages only when they are read; a record does not read
        // them.
        drop(parts.learner.model().valid());
        parts.checkpointer.checkpoint(&parts.learner, progress.epoch, &parts.store);
        let gone = |_| TrainError::Backend { message: "a checkpoint thread stopped".to_owned() };
        let model = self.model_records.recv().map_err(gone)?;
        let optimizer = self.optimizer_records.recv().map_err(gone)?;
        let best = match self.recipe.final_weights {
            FinalWeights::Last => None,
            FinalWeights::Best => progress.best.map(|(epoch, _)| epoch),
        };
        self.checkpoints.save(progress, best, model, optimizer)?;
        self.last_checkpoint.restart();
        Ok(())
    }

    fn check_loss(&self, loss: f64, progress: &Progress) -> Result<(), TrainError> {
        if loss.is_finite() {
            return Ok(());
        }
        let (epoch, step) = (progress.epoch + 1, progress.step);
        Err(TrainError::Diverged { loss, epoch, step, learning_rate: self.rate.get() })
    }

    /// Checks the loss and the gradients. A finite loss can have non-finite gradients, which would spread to
    /// the weights and to all later checkpoints.
    fn check_finite(
        &self,
        model: &Classifier,
        gradients: &GradientsParams,
        progress: &Progress,
    ) -> Result<(), TrainError> {
        let Some(layer) = gradients::non_finite(model, gradients) else { return Ok(()) };
        let (epoch, step) = (progress.epoch + 1, progress.step);
        Err(TrainError::Gradient { layer, epoch, step, learning_rate: self.rate.get() })
    }

    fn check_stop(&self, parts: &Parts, progress: &Progress) -> Result<(), TrainError> {
        hook::step(&self.stop);
        if let Some(error) = parts.interrupter.error() {
            return Err(TrainError::Backend { message: error.to_string() });
        }
        if self.stop.load(Ordering::SeqCst) || parts.interrupter.should_stop() {
            // The stop comes from the dashboard or a signal. Both also stop the runs that follow.
            self.stop.store(true, Ordering::SeqCst);
            return Err(TrainError::Interrupted { epoch: progress.epoch + 1, step: progress.step });
        }
        Ok(())
    }
}

/// Checks that the loader delivered the whole epoch.
fn check_complete(seen: usize, expected: usize) -> Result<(), TrainError> {
    if seen == expected {
        return Ok(());
    }
    Err(TrainError::Backend { message: format!("the data loader gave {seen} of {expected} images") })
}

impl Parts {
    fn event(&mut self, event: LearnerEvent<Score>) {
        let result = self.events.process_train(event);
        self.interrupter.fail_on_error(result);
    }

    fn valid_event(&mut self, event: LearnerEvent<Score>) {
        let result = self.events.process_valid(event);
        self.interrupter.fail_on_error(result);
    }
}
