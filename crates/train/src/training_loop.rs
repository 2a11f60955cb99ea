//! The training loop.
//!
//! ```text
//! for each epoch:
//!     train:     order, augmentation and dropout are functions of (seed, epoch, sample)
//!                a non-finite loss or gradient ends the run before the weights change
//!                an interruption, or ten minutes: write a checkpoint in mid-epoch
//!                train-evaluated every few steps, if enabled, until the error at which training ends
//!     train-evaluated, if enabled and not every few steps; validation
//!     update the plateau schedule and the best epoch
//!     append to metrics.jsonl; then write the checkpoint atomically
//! ```
//!
//! Burn's own strategies are not used: they do not resume exactly (their random state is not in a
//! checkpoint), move the whole model to one device, and do not stop at NaN.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use alexnet_data::{Loader, hook};
use burn::data::dataloader::DataLoader;

use crate::TrainError;
use crate::bridge::Bridge;
use crate::checkpoint::Checkpoints;
use crate::config::{FinalWeights, Recipe};
use crate::evaluate::for_each_batch;
use crate::events::Events;
use crate::metrics_file::append;
use crate::observer::Observer;
use crate::placement::Placement;
use crate::progress::{Part, Progress};
use crate::record::EpochRow;
use crate::score::Score;

/// The longest time between checkpoints in a training pass.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(600);

/// One run's training loop.
pub(crate) struct TrainingLoop {
    pub(crate) label: String,
    pub(crate) recipe: Recipe,
    pub(crate) placement: Placement,
    /// The loader inside burn-train's. The loop sets its epoch.
    pub(crate) train: Loader,
    pub(crate) train_evaluated: Option<Loader>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) metrics: PathBuf,
    pub(crate) events: Events,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) stop: Arc<AtomicBool>,
    /// The learning rate of the latest step.
    pub(crate) rate: f64,
    pub(crate) last_checkpoint: Instant,
}

impl TrainingLoop {
    /// Trains to the end. An interruption leaves a checkpoint.
    pub(crate) fn run(mut self, bridge: &mut Bridge, mut progress: Progress) -> Result<(), TrainError> {
        match self.epochs(bridge, &mut progress) {
            Err(interruption @ TrainError::Interrupted { .. }) => {
                self.checkpoint(bridge, &progress)?;
                Err(interruption)
            }
            outcome => outcome,
        }
    }

    /// Trains epoch by epoch. `progress` always describes the current weights and velocities.
    fn epochs(&mut self, bridge: &mut Bridge, progress: &mut Progress) -> Result<(), TrainError> {
        while !progress.done {
            let epoch = progress.epoch + 1;
            let row = self.train(bridge, progress)?;
            if self.recipe.training_error.every_steps == 0 {
                self.evaluate_training(bridge, progress)?;
            }
            let reached = self.reached(progress);
            let mut rows = vec![row];
            rows.append(&mut progress.part.rows);
            bridge.validation_begins(epoch);
            let validation = bridge.validation();
            let (score, seconds) = self.evaluate(bridge, &*validation, progress, Bridge::validated)?;
            bridge.validation_ends(epoch);
            rows.push(self.row("validation", &score, seconds, progress));

            progress.end_epoch(&self.recipe, score.top1_error(), reached);
            append(&self.metrics, &rows)?;
            self.events.append(&rows)?;
            self.events.append_parameters(bridge.evaluated().network(), progress.step)?;
            self.checkpoint(bridge, progress)?;
            self.observer.epoch(&self.label, &rows);
        }
        Ok(())
    }

    /// Trains the rest of the next epoch.
    fn train(&mut self, bridge: &mut Bridge, progress: &mut Progress) -> Result<EpochRow, TrainError> {
        self.placement.check_model(&bridge.model())?;
        let per_epoch = self.train.num_batches();
        let steps = per_epoch * self.recipe.epochs;
        if progress.part.batches > 0 {
            self.rate = progress.rate_of(&self.recipe, progress.step - 1, steps); // in case only validation is left
        }
        self.train.set_epoch(progress.epoch + 1, progress.part.batches);
        bridge.training_begins(progress.epoch + 1);
        let training = bridge.training();
        let mut batches = training.iter();
        if progress.part.batches > 0 && self.recipe.training_error.is_due(progress.step) {
            self.evaluate_training(bridge, progress)?; // in case it was interrupted
        }
        let mut begun = Instant::now();
        while !self.reached(progress)
            && let Some(batch) = batches.next()
        {
            let batch = batch?;
            let elapsed = progress.step as f64 / steps as f64;
            self.rate = progress.rate_of(&self.recipe, progress.step, steps);
            let output = bridge.step(batch)?;
            progress.step += 1;
            let loss = output.item.loss();
            let gradients = progress.checked(&bridge.model(), output.grads, loss, &self.recipe, self.rate)?;
            bridge.update(gradients, self.rate, elapsed, progress.step);
            progress.part.batches += 1;
            progress.part.score.join(&output.item);
            progress.part.seconds += begun.elapsed().as_secs_f64();
            begun = Instant::now();
            let done = (progress.epoch * per_epoch + progress.part.batches) as f64 / steps as f64;
            bridge.show_time_left(self.observer.progress(&self.label, done));
            bridge.trained(output.item, batches.progress(), progress.step);
            if self.recipe.training_error.is_due(progress.step) {
                self.evaluate_training(bridge, progress)?;
                begun = Instant::now();
            }
            self.check_stop(bridge, progress)?;
            if self.last_checkpoint.elapsed() >= CHECKPOINT_EVERY && progress.part.batches < per_epoch {
                self.checkpoint(bridge, progress)?;
            }
        }
        let Part { score, seconds, .. } = &progress.part;
        if !self.reached(progress) {
            check_complete(score.images, self.train.num_items())?;
        }
        bridge.check_devices()?;
        bridge.training_ends(progress.epoch + 1);
        Ok(self.row("train", score, *seconds, progress))
    }

    /// Adds the error of the current weights on training images, if enabled, to the rows of this epoch.
    fn evaluate_training(&self, bridge: &mut Bridge, progress: &mut Progress) -> Result<(), TrainError> {
        let is_done = progress.part.rows.last().is_some_and(|row| row.step == progress.step);
        if let Some(loader) = self.train_evaluated.as_ref().filter(|_| !is_done) {
            let (score, seconds) = self.evaluate(bridge, loader, progress, |_, _, _| ())?;
            progress.part.rows.push(self.row("train-evaluated", &score, seconds, progress));
        }
        Ok(())
    }

    /// Returns whether the error on training images is so low that training ends.
    fn reached(&self, progress: &Progress) -> bool {
        let last = progress.part.rows.last();
        last.is_some_and(|row| self.recipe.training_error.ends_at(row.top1_error))
    }

    /// Evaluates the current weights. Returns the score and the seconds that it took.
    fn evaluate(
        &self,
        bridge: &mut Bridge,
        loader: &dyn DataLoader<alexnet_data::Batch>,
        progress: &Progress,
        show: impl Fn(&mut Bridge, Score, burn::data::dataloader::Progress),
    ) -> Result<(Score, f64), TrainError> {
        let begun = Instant::now();
        let model = bridge.evaluated();
        let mut total = Score::default();
        for_each_batch(
            loader,
            usize::MAX,
            |images| model.logits(images),
            |labels, logits, done| {
                let score = Score::of(logits, labels);
                total.join(&score);
                show(bridge, score, done);
                self.check_stop(bridge, progress)
            },
        )?;
        check_complete(total.images, loader.num_items())?;
        progress.check_loss(total.loss(), self.rate)?;
        Ok((total, begun.elapsed().as_secs_f64()))
    }

    fn row(&self, split: &str, score: &Score, seconds: f64, progress: &Progress) -> EpochRow {
        EpochRow::new(progress.epoch + 1, progress.step, split, score, self.rate, seconds)
    }

    fn checkpoint(&mut self, bridge: &mut Bridge, progress: &Progress) -> Result<(), TrainError> {
        let records = bridge.records();
        let best = match self.recipe.final_weights {
            FinalWeights::Last => None,
            FinalWeights::Best => progress.best.map(|(epoch, _)| epoch),
        };
        self.checkpoints.save(progress, best, records)?;
        self.last_checkpoint = Instant::now();
        Ok(())
    }

    fn check_stop(&self, bridge: &Bridge, progress: &Progress) -> Result<(), TrainError> {
        hook::step(&self.stop);
        if bridge.should_stop()? {
            // A stop from the dashboard also stops the runs that follow, as a signal does.
            self.stop.store(true, Ordering::SeqCst);
        }
        match self.stop.load(Ordering::SeqCst) {
            true => Err(TrainError::Interrupted { epoch: progress.epoch + 1, step: progress.step }),
            false => Ok(()),
        }
    }
}

/// Checks that the loader delivered the whole epoch.
fn check_complete(seen: usize, expected: usize) -> Result<(), TrainError> {
    if seen == expected {
        return Ok(());
    }
    Err(TrainError::Backend { message: format!("the data loader gave {seen} of {expected} images") })
}
