//! How far a training has come, and the decisions that depend on it.

use burn::optim::GradientsParams;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::classifier::Classifier;
use crate::config::Recipe;
use crate::gradients;
use crate::record::EpochRow;
use crate::schedule::{Place, PlateauState, Schedule};
use crate::score::Score;

/// The state of a training besides weights and velocities, as a checkpoint holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// The number of completed epochs.
    pub(crate) epoch: usize,
    /// The number of updates.
    pub(crate) step: usize,
    /// The state of the plateau schedule.
    pub(crate) plateau: PlateauState,
    /// The epoch with the lowest validation error, and that error.
    pub(crate) best: Option<(usize, f64)>,
    /// Whether training has ended, at the last epoch or early.
    pub(crate) done: bool,
    /// The completed part of the next epoch.
    #[serde(default)]
    pub(crate) part: Part,
    /// The SHA-256 of the checkpoint's other files; absent in checkpoints of earlier versions.
    #[serde(default)]
    pub(crate) checksums: Option<Checksums>,
}

/// The SHA-256 of a checkpoint's files, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checksums {
    pub(crate) model: String,
    pub(crate) optimizer: String,
    /// That of the average of the weights, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) average: Option<String>,
}

/// The completed part of an epoch's training pass.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) batches: usize,
    /// The score of their images, during training.
    pub(crate) score: Score,
    pub(crate) seconds: f64,
    /// The passes over training images in evaluation mode so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rows: Vec<EpochRow>,
}

impl Progress {
    pub(crate) fn start() -> Self {
        Self {
            epoch: 0,
            step: 0,
            plateau: PlateauState::new(),
            best: None,
            done: false,
            part: Part::default(),
            checksums: None,
        }
    }

    /// Returns the learning rate of update `step`, of `steps` in all.
    pub(crate) fn rate_of(&self, recipe: &Recipe, step: usize, steps: usize) -> f64 {
        let place = Place { epoch: self.epoch + 1, step, steps };
        recipe.schedule.rate(recipe.learning_rate, recipe.warmup_steps, place, &self.plateau)
    }

    /// Checks that a loss is finite.
    pub(crate) fn check_loss(&self, loss: f64, learning_rate: f64) -> Result<(), TrainError> {
        if loss.is_finite() {
            return Ok(());
        }
        Err(TrainError::Diverged { loss, epoch: self.epoch + 1, step: self.step, learning_rate })
    }

    /// Checks the newest step's gradients, and limits their norm as the recipe says. There are gradients of all parameters, and the
    /// loss and the gradients are finite. A finite loss can have non-finite gradients, which would spread to the weights and to all
    /// later checkpoints.
    pub(crate) fn checked(
        &self,
        model: &Classifier,
        gradients: GradientsParams,
        loss: f64,
        recipe: &Recipe,
        learning_rate: f64,
    ) -> Result<GradientsParams, TrainError> {
        model.check_gradients(&gradients)?;
        self.check_loss(loss, learning_rate)?;
        if let Some(layer) = gradients::non_finite(model, &gradients) {
            let (epoch, step) = (self.epoch + 1, self.step);
            return Err(TrainError::Gradient { layer, epoch, step, learning_rate });
        }
        Ok(match recipe.clip_gradients {
            0.0 => gradients,
            norm => gradients::clipped(model, gradients, norm),
        })
    }

    /// Ends an epoch by its validation error: updates the plateau schedule and the best epoch, and decides whether training has ended.
    /// `reached` says that the error on training images is so low that it has.
    pub(crate) fn end_epoch(&mut self, recipe: &Recipe, error: f64, reached: bool) {
        self.epoch += 1;
        if let Schedule::Plateau(plateau) = &recipe.schedule {
            self.plateau.observe(plateau, error);
        }
        if self.best.is_none_or(|(_, best)| error < best) {
            self.best = Some((self.epoch, error));
        }
        let best = self.best.map_or(self.epoch, |(best, _)| best);
        self.done = self.epoch == recipe.epochs || reached || recipe.ends_early(self.epoch, best);
        self.part = Part::default();
    }
}
