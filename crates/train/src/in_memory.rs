//! A training in memory, some steps at a time: for a page in a browser, or a program of one's own.

use std::sync::atomic::AtomicBool;

use alexnet_data::{Loader, Views};
use burn::data::dataloader::DataLoader;
use burn::module::Module;

use crate::TrainError;
use crate::average::Average;
use crate::classifier::Classifier;
use crate::config::{Recipe, RunConfig};
use crate::environment::{Data, Environment};
use crate::evaluate::{EvaluationResult, evaluate, for_each_batch};
use crate::loaders::{evaluation_loader, training_loader};
use crate::progress::Progress;
use crate::rule::optimizer;
use crate::score::Score;
use crate::update::Elapsed;
use crate::updater::Updater;

/// A training without files. Its draws, updates, schedule and checks are those of a [`Run`](crate::Run) with the same config and
/// seed on one device, so the scores are the same to the digit. It cannot resume in another process.
pub struct Training {
    recipe: Recipe,
    model: Classifier,
    optimizer: Updater,
    elapsed: Elapsed,
    average: Option<Average>,
    train: Loader,
    train_evaluated: Option<Loader>,
    validation: Loader,
    test: Loader,
    progress: Progress,
    /// The learning rate of the latest step.
    rate: f64,
}

/// One update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingStep {
    /// Its number, from 1, over all epochs.
    pub step: usize,
    /// The learning rate.
    pub learning_rate: f64,
    /// The score of its batch before the update.
    pub score: Score,
}

/// A pass over a split after some updates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pass {
    /// `train` (as seen while training), `train-evaluated` or `validation`, as in a run's `metrics.jsonl`.
    pub split: &'static str,
    /// The epoch, from 1.
    pub epoch: usize,
    /// The number of updates so far.
    pub step: usize,
    /// The score of all images.
    pub score: Score,
}

/// The updates and passes of one [`Training::advance`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Advance {
    /// The updates.
    pub steps: Vec<TrainingStep>,
    /// The passes, in order.
    pub passes: Vec<Pass>,
}

impl Training {
    /// Begins a training with drawn weights, on the first device of `environment`.
    ///
    /// # Errors
    /// If the config is invalid or does not fit the data, or the weights are not to be drawn.
    pub fn new(
        config: &RunConfig,
        data: &Data,
        environment: &Environment,
        seed: u64,
    ) -> Result<Self, TrainError> {
        config.check(&data.dataset)?;
        if !config.initial.weights.is_empty() {
            let problem = "a training in memory begins with drawn weights".to_owned();
            return Err(TrainError::Config { key: "initial.weights", problem });
        }
        let data = data.of(config, seed)?;
        let placement = environment.placement.autodiff();
        let (recipe, operations) = (config.recipe.clone(), environment.operations);
        let train = training_loader(config, &data, environment, seed, placement.first())?;
        let evaluation = |split| {
            let device = environment.placement.first();
            evaluation_loader(config, split, &data.statistics, Views::Centre, device, environment.workers)
        };
        let train_evaluated = match recipe.training_error.images {
            0 => None,
            images => Some(evaluation(data.dataset.train.first(images))?),
        };
        let model = Classifier::new(&config.network, seed, placement.first())?;
        let model = model.with_operations(operations).with_precision(recipe.precision);
        let model = model.with_objective(recipe.objective());
        let elapsed = Elapsed::default();
        Ok(Self {
            optimizer: optimizer(&config.network, &recipe.rule(), &elapsed, operations),
            average: (recipe.average_weights > 0.0).then(|| Average::of(recipe.average_weights, &model)),
            validation: evaluation(data.dataset.validation.clone())?,
            test: evaluation(data.dataset.test.clone())?,
            recipe,
            model,
            elapsed,
            train,
            train_evaluated,
            progress: Progress::start(),
            rate: 0.0,
        })
    }

    /// Returns the number of updates of an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.train.num_batches()
    }

    /// Returns the number of updates of the whole training, unless it ends early.
    pub fn steps(&self) -> usize {
        self.steps_per_epoch() * self.recipe.epochs
    }

    /// Returns whether training has ended.
    pub fn is_done(&self) -> bool {
        self.progress.done
    }

    /// Returns the model for evaluation: with the average of the weights, if the recipe has one.
    pub fn model(&self) -> Classifier {
        let model = self.model.valid();
        match &self.average {
            Some(average) => average.model(model),
            None => model,
        }
    }

    /// Trains at most `most` steps, and not beyond the end of the epoch. At its end validates.
    ///
    /// # Errors
    /// If an image cannot be read, or a loss or gradient is not finite.
    pub fn advance(&mut self, most: usize) -> Result<Advance, TrainError> {
        let mut advance = Advance::default();
        if self.progress.done {
            return Ok(advance);
        }
        self.train.set_epoch(self.progress.epoch + 1, self.progress.part.batches);
        let (loader, mut reached) = (self.train.clone(), false);
        for batch in loader.iter().take(most) {
            advance.steps.push(self.update(batch?)?);
            if self.recipe.training_error.is_due(self.progress.step) {
                reached = self.evaluate_training(&mut advance.passes)?;
            }
            if reached {
                break;
            }
        }
        if reached || self.progress.part.batches == self.steps_per_epoch() {
            self.end_epoch(reached, &mut advance.passes)?;
        }
        Ok(advance)
    }

    /// Tests the current weights on the test split, one view an image.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn test(&self) -> Result<EvaluationResult, TrainError> {
        let (model, never) = (self.model(), AtomicBool::new(false));
        let classes = model.network().network().classes;
        let predictions = evaluate(model.network(), &self.test, classes, usize::MAX, &never)?;
        Ok(predictions.result(Views::Centre))
    }

    fn update(&mut self, batch: alexnet_data::Batch) -> Result<TrainingStep, TrainError> {
        let steps = self.steps();
        self.rate = self.progress.rate_of(&self.recipe, self.progress.step, steps);
        self.elapsed.set(self.progress.step as f64 / steps as f64);
        let (gradients, score) = self.model.gradients(batch, 1.0);
        let progress = &mut self.progress;
        progress.step += 1;
        let gradients = progress.checked(&self.model, gradients, score.loss(), &self.recipe, self.rate)?;
        self.model = self.optimizer.step(self.rate, self.model.clone(), gradients);
        if let Some(average) = &mut self.average {
            average.update(&self.model, progress.step);
        }
        progress.part.batches += 1;
        progress.part.score.join(&score);
        Ok(TrainingStep { step: progress.step, learning_rate: self.rate, score })
    }

    /// Makes the passes at the end of an epoch, and the decisions that depend on them.
    fn end_epoch(&mut self, reached: bool, passes: &mut Vec<Pass>) -> Result<(), TrainError> {
        let reached = match self.recipe.training_error.every_steps {
            0 => self.evaluate_training(passes)?,
            _ => reached,
        };
        let (epoch, step) = (self.progress.epoch + 1, self.progress.step);
        let validation = self.evaluate(&self.validation)?;
        passes.push(Pass { split: "train", epoch, step, score: self.progress.part.score });
        passes.push(Pass { split: "validation", epoch, step, score: validation });
        self.progress.end_epoch(&self.recipe, validation.top1_error(), reached);
        Ok(())
    }

    /// Adds the error on training images, if enabled. Returns whether it is so low that training ends.
    fn evaluate_training(&self, passes: &mut Vec<Pass>) -> Result<bool, TrainError> {
        let Some(loader) = &self.train_evaluated else { return Ok(false) };
        let score = self.evaluate(loader)?;
        let (epoch, step) = (self.progress.epoch + 1, self.progress.step);
        passes.push(Pass { split: "train-evaluated", epoch, step, score });
        Ok(self.recipe.training_error.ends_at(score.top1_error()))
    }

    fn evaluate(&self, loader: &Loader) -> Result<Score, TrainError> {
        let (model, mut total) = (self.model(), Score::default());
        for_each_batch(
            loader,
            usize::MAX,
            |images| model.logits(images),
            |labels, logits, _| {
                total.join(&Score::of(logits, labels));
                Ok::<_, TrainError>(())
            },
        )?;
        self.progress.check_loss(total.loss(), self.rate)?;
        Ok(total)
    }
}
