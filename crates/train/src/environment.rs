use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use alexnet_data::{Dataset, Statistics, Upload};
use alexnet_ops::{Backend, BackendError, Implementation};

use crate::TrainError;
use crate::config::RunConfig;
use crate::observer::Observer;
use crate::placement::Placement;
use crate::record::EpochRow;

/// A data set and the statistics of its training split.
pub struct Data {
    /// The images.
    pub dataset: Dataset,
    /// The statistics of the training split; for a prepared set, of all its training images.
    pub statistics: Statistics,
}

impl Data {
    /// Computes the statistics of the training split.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn new(dataset: Dataset) -> Result<Self, TrainError> {
        let statistics = Statistics::of_training(&dataset, &AtomicBool::new(false))?;
        Ok(Self { dataset, statistics })
    }

    /// Returns the part of the data that a run uses.
    pub(crate) fn of(&self, config: &RunConfig, seed: u64) -> Result<Self, TrainError> {
        let dataset = self.dataset.part(&config.data.classes, config.data.labelled, seed)?;
        Ok(Self { dataset, statistics: self.statistics.clone() })
    }
}

/// The execution environment of runs. It is recorded, but only the form of the operations is part of a run's
/// identity.
#[derive(Clone)]
pub struct Environment {
    /// The devices, without automatic differentiation.
    pub placement: Placement,
    /// The backend that `--backend` names.
    pub backend: String,
    /// The form of the operations.
    pub operations: Implementation,
    /// The number of threads that prepare batches.
    pub workers: usize,
    /// The form in which training images are uploaded to the device.
    pub upload: Upload,
    /// Whether to try out the devices' kernels before the first step.
    pub warms_up: bool,
    /// Whether to show burn-train's dashboard.
    pub dashboard: bool,
    /// The version of this code.
    pub code_version: String,
    /// Set to stop at the next step.
    pub stop: Arc<AtomicBool>,
    /// Receives the events of runs.
    pub observer: Arc<dyn Observer>,
}

/// An observer that ignores all events.
struct Silent;

impl Observer for Silent {
    fn epoch(&self, _: &str, _: &[EpochRow]) {}

    fn note(&self, _: &str) {}
}

impl Environment {
    /// Creates an environment with one device of a backend, without output or dashboard. Set the fields to
    /// change the rest.
    ///
    /// # Errors
    /// If the backend has no such device.
    pub fn on(backend: Backend) -> Result<Self, BackendError> {
        Ok(Self {
            placement: Placement::Towers(vec![backend.device()?]),
            backend: backend.to_string(),
            operations: Implementation::Fast,
            workers: 1,
            upload: Upload::Floats,
            warms_up: false,
            dashboard: false,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            stop: Arc::default(),
            observer: Arc::new(Silent),
        })
    }
}
