use std::path::Path;

use alexnet_data::Batch;
use alexnet_model::{AlexNet, Mode, Network};
use alexnet_ops::{Implementation, Precision};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Bytes, Device, Tensor};
#[cfg(feature = "runs")]
use burn::train::{InferenceStep, TrainOutput, TrainStep};

use crate::TrainError;
use crate::atomic_write::atomic_write;
use crate::mixing::Objective;
use crate::score::Score;

/// A network with its loss, the mean negative log-probability of the true class (Krizhevsky et al. 2012,
/// §3.5). burn-train trains this module.
#[derive(Module, Debug)]
pub struct Classifier {
    network: AlexNet,
    #[module(skip)]
    objective: Objective,
}

impl Classifier {
    /// Creates the classifier of `network` with weights drawn from `seed`.
    ///
    /// # Errors
    /// If the network's layers do not fit together.
    pub fn new(network: &Network, seed: u64, device: &Device) -> Result<Self, TrainError> {
        Self::new_on(network, seed, std::slice::from_ref(device))
    }

    /// Does the same as [`new`](Self::new), with each tower on its own device, in turn.
    ///
    /// # Errors
    /// If the network's layers do not fit together.
    pub fn new_on(network: &Network, seed: u64, devices: &[Device]) -> Result<Self, TrainError> {
        Ok(network.init_on(seed, devices)?.into())
    }

    /// Returns the same classifier with another form of the operations.
    pub fn with_operations(self, operations: Implementation) -> Self {
        Self { network: self.network.with_operations(operations), ..self }
    }

    /// Returns the same classifier with products of another precision.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { network: self.network.with_precision(precision), ..self }
    }

    /// Returns the same classifier with another objective in training.
    pub(crate) fn with_objective(self, objective: Objective) -> Self {
        Self { objective, ..self }
    }

    /// Writes the weights as a record, atomically.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        atomic_write(path, &self.to_bytes()?)
    }

    /// Returns the weights as a record.
    pub(crate) fn to_bytes(&self) -> Result<Bytes, TrainError> {
        let bytes = self.clone().into_record().into_bytes();
        bytes.map_err(|error| TrainError::Backend { message: error.to_string() })
    }

    /// Returns the network.
    pub fn network(&self) -> &AlexNet {
        &self.network
    }

    /// Computes the gradients and the score of a part of a batch, where `share` is the part's fraction of the batch. The
    /// gradients of all parts add up to those of the batch's mean loss.
    pub(crate) fn gradients(&self, batch: Batch, share: f64) -> (GradientsParams, Score) {
        let classes = self.network.network().classes;
        let (images, wanted) = self.objective.apply(batch.images, &batch.targets, &batch.keys, classes);
        let logits = self.network.forward(images, Mode::Training(&batch.keys));
        let operations = self.network.operations();
        let loss = match wanted {
            None => operations.cross_entropy(logits.clone(), &batch.targets),
            Some(wanted) => operations.soft_cross_entropy(logits.clone(), &wanted),
        };
        let loss = if share == 1.0 { loss } else { loss.mul_scalar(share) };
        let gradients = GradientsParams::from_grads(loss.backward(), self);
        // The logits are read last. Otherwise a GPU would wait until the rest of the step is queued.
        let score = Score::of(&to_host(logits.inner()), &batch.targets);
        (gradients, score)
    }

    /// Makes a training step on a part of a batch, as [`gradients`](Self::gradients).
    #[cfg(feature = "runs")]
    pub(crate) fn part_of_step(&self, batch: Batch, share: f64) -> TrainOutput<Score> {
        let (grads, item) = self.gradients(batch, share);
        TrainOutput { grads, item }
    }

    /// Checks that every parameter has a gradient. Parameters that are not leaves of the graph have none, and
    /// the optimizer silently skips them.
    ///
    /// # Errors
    /// If not every parameter has a gradient.
    pub(crate) fn check_gradients(&self, gradients: &GradientsParams) -> Result<(), TrainError> {
        let (found, expected) = (gradients.len(), self.network.learned_tensors());
        if found == expected {
            return Ok(());
        }
        Err(TrainError::Backend { message: format!("{found} gradients for {expected} parameters") })
    }

    /// Computes the logits of inputs in evaluation mode, `[inputs, classes]`.
    pub(crate) fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        self.network.forward(images, Mode::Evaluation)
    }
}

pub(crate) fn to_host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().expect("converted to f32")
}

impl From<AlexNet> for Classifier {
    fn from(network: AlexNet) -> Self {
        Self { network, objective: Objective::default() }
    }
}

#[cfg(feature = "runs")]
impl TrainStep for Classifier {
    type Input = Batch;
    type Output = Score;

    fn step(&self, batch: Batch) -> TrainOutput<Score> {
        self.part_of_step(batch, 1.0)
    }
}

/// Only burn-train's bounds ask for this; validation goes through `evaluate.rs`.
#[cfg(feature = "runs")]
impl InferenceStep for Classifier {
    type Input = Batch;
    type Output = Score;

    fn step(&self, batch: Batch) -> Score {
        Score::of(&to_host(self.logits(batch.images)), &batch.targets)
    }
}
