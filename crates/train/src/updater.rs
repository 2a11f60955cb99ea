//! The updates of a model's parameters.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alexnet_ops::SgdSteps;
use burn::module::{Module, ModuleVisitor, Param};
#[cfg(feature = "runs")]
use burn::optim::OptimizerRecord;
use burn::optim::{GradientsParams, LearningRate, ModuleOptimizer};
use burn::tensor::Tensor;

/// An optimizer with what it keeps of each parameter. [`optimizer`](crate::optimizer) makes it.
#[derive(Clone)]
pub struct Updater {
    optimizer: ModuleOptimizer,
    /// For the paper's update. Clones share it, so they make their steps one after the other.
    together: Option<Together>,
}

impl Updater {
    pub(crate) fn new(optimizer: ModuleOptimizer, together: Option<Together>) -> Self {
        Self { optimizer, together }
    }

    /// Returns the model after one update.
    pub fn step<M: Module>(&mut self, rate: LearningRate, model: M, gradients: GradientsParams) -> M {
        let Some(together) = &self.together else { return self.optimizer.step(rate, model, gradients) };
        let mut copies = Copies { gradients: &gradients, on_gpu: GradientsParams::new() };
        model.visit(&mut copies);
        if copies.on_gpu.is_empty() {
            return self.optimizer.step(rate, model, gradients);
        }
        *together.phase() = Phase::Gathering(SgdSteps::default());
        let model = self.optimizer.step(rate, model, copies.on_gpu);
        together.make();
        let model = self.optimizer.step(rate, model, gradients);
        *together.phase() = Phase::Alone;
        model
    }

    /// Returns the state, for a checkpoint.
    #[cfg(feature = "runs")]
    pub(crate) fn to_record(&self) -> OptimizerRecord {
        self.optimizer.to_record()
    }

    /// Goes on from the state of a checkpoint.
    #[cfg(feature = "runs")]
    pub(crate) fn load_record(self, record: OptimizerRecord) -> Self {
        Self { optimizer: self.optimizer.load_record(record), ..self }
    }
}

/// The updates that a GPU makes in one launch. Burn's optimizer shows parameters and velocities one at a time, so it goes through
/// them twice: first they are gathered and stay as they are, then each takes its result.
#[derive(Debug, Clone, Default)]
pub struct Together(Arc<Mutex<Phase>>);

#[derive(Debug, Default)]
pub(crate) enum Phase {
    /// Each parameter is updated at once.
    #[default]
    Alone,
    Gathering(SgdSteps),
    HandingOut(SgdSteps),
}

impl Together {
    pub(crate) fn phase(&self) -> MutexGuard<'_, Phase> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self) {
        let mut phase = self.phase();
        if let Phase::Gathering(mut steps) = std::mem::take(&mut *phase) {
            steps.make();
            *phase = Phase::HandingOut(steps);
        }
    }
}

/// The gradients of the parameters that are updated together.
struct Copies<'a> {
    gradients: &'a GradientsParams,
    on_gpu: GradientsParams,
}

impl ModuleVisitor for Copies<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id).filter(SgdSteps::takes) {
            self.on_gpu.register(param.id, gradient);
        }
    }
}
