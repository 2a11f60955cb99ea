use std::sync::atomic::{AtomicBool, Ordering};

use alexnet_data::{Batch, Loader, Views, hook};
use alexnet_model::{AlexNet, Mode};
use burn::data::dataloader::{DataLoader, Progress};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::classifier::to_host;
use crate::score::{Score, averaged_softmax};

/// The class probabilities of every image of a split, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// The number of classes.
    pub classes: usize,
    /// The probabilities `[images, classes]`, averaged over each image's views.
    pub probabilities: Vec<f64>,
    /// The true classes.
    pub targets: Vec<usize>,
}

/// The result of a test of the final weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationResult {
    /// The views whose softmax outputs are averaged.
    pub views: Views,
    /// The number of images.
    pub images: usize,
    /// The mean negative log-probability of the true class.
    pub loss: f64,
    /// The top-1 error, as a fraction.
    pub top1_error: f64,
    /// The top-5 error, as a fraction.
    pub top5_error: f64,
}

impl EvaluationResult {
    /// Returns the number of images whose class is not the most probable.
    pub fn wrong(&self) -> u64 {
        (self.top1_error * self.images as f64).round() as u64
    }

    /// Returns whether an error among the five most probable classes says something about this many classes.
    pub fn says_top5(classes: usize) -> bool {
        classes > 5
    }
}

/// A network's predicted class for each image of a split. Two networks are compared by these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedClasses {
    /// The true class of each image.
    pub targets: Vec<usize>,
    /// The most probable class of each image.
    pub predicted: Vec<usize>,
    /// The probability of that class; empty in older files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confidence: Vec<f32>,
}

impl PredictedClasses {
    /// Returns whether each prediction is right.
    pub fn right(&self) -> Vec<bool> {
        self.targets.iter().zip(&self.predicted).map(|(target, predicted)| target == predicted).collect()
    }
}

impl Predictions {
    /// Returns the most probable class of each image. On a tie the lower class wins, as in the score.
    pub fn answers(&self) -> PredictedClasses {
        let rows = || self.probabilities.chunks_exact(self.classes);
        let best = |probabilities: &[f64]| {
            let better = |best: usize, class: usize| {
                if probabilities[class] > probabilities[best] { class } else { best }
            };
            (1..probabilities.len()).fold(0, better)
        };
        PredictedClasses {
            targets: self.targets.clone(),
            predicted: rows().map(best).collect(),
            confidence: rows().map(|row| row.iter().copied().fold(0.0, f64::max) as f32).collect(),
        }
    }

    /// Averages the softmax outputs of several networks (Krizhevsky et al. 2012, §6).
    ///
    /// Returns `None` if there are none, or if they are not of the same images.
    pub fn average(all: &[Predictions]) -> Option<Predictions> {
        let first = all.first()?;
        if all.iter().any(|other| (other.classes, &other.targets) != (first.classes, &first.targets)) {
            return None;
        }
        let mean = |i: usize| all.iter().map(|one| one.probabilities[i]).sum::<f64>() / all.len() as f64;
        Some(Predictions {
            probabilities: (0..first.probabilities.len()).map(mean).collect(),
            ..first.clone()
        })
    }

    /// Computes the loss and the errors of the predictions.
    pub fn result(&self, views: Views) -> EvaluationResult {
        let mut score = Score::default();
        for (probabilities, &target) in self.probabilities.chunks_exact(self.classes).zip(&self.targets) {
            score.add(probabilities, target);
        }
        EvaluationResult {
            views,
            images: score.images,
            loss: score.loss(),
            top1_error: score.top1_error(),
            top5_error: score.top5_error(),
        }
    }
}

/// Runs `forward` over the batches of `loader`, with at most `at_once` inputs (views) at a time, and passes each batch's
/// labels, its rows of values `[inputs, values]` and the progress to `each`. Validation, the test, `evaluate`, `predict` and
/// the features and predictions of `analyze` go through this loop.
pub(crate) fn for_each_batch<E: From<TrainError>>(
    loader: &dyn DataLoader<Batch>,
    at_once: usize,
    mut forward: impl FnMut(Tensor<4>) -> Tensor<2>,
    mut each: impl FnMut(&[usize], &[f32], Progress) -> Result<(), E>,
) -> Result<(), E> {
    let mut batches = loader.iter();
    while let Some(batch) = batches.next() {
        let batch = batch.map_err(TrainError::from)?;
        let inputs = match batch.images.dims()[0] <= at_once {
            true => vec![batch.images],
            false => batch.images.split(at_once, 0),
        };
        let rows: Vec<f32> = inputs.into_iter().flat_map(|inputs| to_host(forward(inputs))).collect();
        each(&batch.targets, &rows, batches.progress())?;
    }
    Ok(())
}

/// Runs `forward` over the images of `loader`, in order, with at most `at_once` inputs (views) at a time, and passes each
/// image's label and rows of values, `[views, values]`, to `each`.
///
/// # Errors
/// If an image cannot be read, `stop` is set, or `each` returns an error.
pub fn for_each_image<E: From<TrainError>>(
    loader: &Loader,
    at_once: usize,
    stop: &AtomicBool,
    forward: impl FnMut(Tensor<4>) -> Tensor<2>,
    mut each: impl FnMut(usize, &[f32]) -> Result<(), E>,
) -> Result<(), E> {
    for_each_batch(loader, at_once, forward, |labels, rows, _| {
        // A batch has at least one image.
        for (rows, &label) in rows.chunks_exact(rows.len() / labels.len()).zip(labels) {
            each(label, rows)?;
        }
        hook::step(stop);
        match stop.load(Ordering::SeqCst) {
            true => Err(TrainError::InterruptedTest.into()),
            false => Ok(()),
        }
    })
}

/// Computes the probabilities that `network` gives the images of `loader`, averaged over the views of each (Krizhevsky et
/// al. 2012, §4.1). A forward pass has at most `at_once` inputs.
///
/// # Errors
/// If an image cannot be read, or `stop` is set.
pub fn evaluate(
    network: &AlexNet,
    loader: &Loader,
    classes: usize,
    at_once: usize,
    stop: &AtomicBool,
) -> Result<Predictions, TrainError> {
    let mut predictions = Predictions { classes, probabilities: Vec::new(), targets: Vec::new() };
    let forward = |inputs| network.forward(inputs, Mode::Evaluation);
    for_each_image(loader, at_once, stop, forward, |label, logits| {
        predictions.probabilities.extend(averaged_softmax(logits, classes));
        predictions.targets.push(label);
        Ok::<_, TrainError>(())
    })?;
    Ok(predictions)
}
