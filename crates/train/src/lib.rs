//! The recipe: the paper's update, schedules, a training loop that resumes exactly, evaluation.
//!
//! [`Run`] is one training with one seed in one folder. [`Run::complete`] trains the missing part of it and
//! returns its [`RunResult`].

mod atomic_write;
mod average;
mod bridge;
mod checkpoint;
mod classifier;
mod config;
mod dashboard;
mod environment;
mod error;
mod evaluate;
mod events;
mod first_kernels;
mod gradients;
mod memory;
mod mixing;
mod observer;
mod parallel;
mod placement;
mod provenance;
mod range_test;
mod record;
mod response;
mod rule;
mod run;
mod schedule;
mod score;
mod smoothed;
mod training_loop;
mod unexpected;
mod update;
mod warm_up;

pub use classifier::Classifier;
pub use config::{DataConfig, Evaluation, FinalWeights, Initial, Recipe, RunConfig, TrainingError};
pub use dashboard::spoken;
pub use environment::{Data, Environment};
pub use error::TrainError;
pub use evaluate::{
    EvaluationResult, PredictedClasses, Predictions, evaluate, evaluation_loader, for_each_image,
};
pub use first_kernels::first_kernels;
pub use memory::{LeastMemory, peak as peak_memory};
pub use mixing::Mixing;
pub use observer::Observer;
pub use placement::{Placement, Reduction};
pub use provenance::RESULTS;
pub use range_test::{RatePoint, RateRange, SuggestedRate};
pub use record::EpochRow;
pub use response::LrnResponse;
pub use rule::{Moments, OptimizerConfig, UpdateRule, optimizer};
pub use run::{KeptRun, Label, Run, RunRecord, RunResult, RunStatus, Session, failure, keep_failure};
pub use schedule::{Plateau, PlateauState, Schedule};
pub use score::{Score, averaged_softmax};
pub use unexpected::{Unexpected, catch, keep_panics};
pub use update::{Elapsed, PaperSgd};
pub use warm_up::WarmUp;

// `derive(RecordState)` outside Burn expands to these names at the crate root.
#[allow(unused_imports)]
pub(crate) use burn::optim::{RecordState, StateSink, StateSource, join_index, join_path};
