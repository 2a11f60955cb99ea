use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use alexnet_data::{Dataset, Statistics, Upload};
use alexnet_ops::{Backend, BackendError, Implementation};

use crate::TrainError;
use crate::config::RunConfig;
use crate::observer::Observer;
use crate::placement::Placement;
use crate::record::EpochRow;

/// A data set and what is known of its training split.
pub struct Data {
    /// The images.
    pub dataset: Dataset,
    /// Of the training split; of a prepared set, of all its training images.
    pub statistics: Statistics,
}

impl Data {
    /// Takes the statistics of the training split.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn new(dataset: Dataset) -> Result<Self, TrainError> {
        let statistics = Statistics::of_training(&dataset)?;
        Ok(Self { dataset, statistics })
    }

    /// What a run sees of it.
    pub(crate) fn of(&self, config: &RunConfig, seed: u64) -> Result<Self, TrainError> {
        let dataset = self.dataset.part(&config.data.classes, config.data.labelled, seed)?;
        Ok(Self { dataset, statistics: self.statistics.clone() })
    }
}

/// Where and how runs are carried out; recorded, but no part of what a run is except for the form of the operations.
#[derive(Clone)]
pub struct Environment {
    /// The devices, without automatic differentiation.
    pub placement: Placement,
    /// What `--backend` names.
    pub backend: String,
    /// The form of the operations.
    pub operations: Implementation,
    /// Threads that prepare batches.
    pub workers: usize,
    /// What goes to the device of a training image.
    pub upload: Upload,
    /// Whether to show burn-train's dashboard.
    pub dashboard: bool,
    /// The version of this code.
    pub code_version: String,
    /// Set to stop at the next step.
    pub stop: Arc<AtomicBool>,
    /// Hears what runs do.
    pub observer: Arc<dyn Observer>,
}

/// An observer that says nothing.
struct Silent;

impl Observer for Silent {
    fn epoch(&self, _: &str, _: &[EpochRow]) {}

    fn note(&self, _: &str) {}
}

impl Environment {
    /// One device of a backend, silent and without a dashboard; the fields say what else there is to choose.
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
            dashboard: false,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            stop: Arc::default(),
            observer: Arc::new(Silent),
        })
    }
}
