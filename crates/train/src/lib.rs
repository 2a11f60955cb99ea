//! The recipe: the paper's update, schedules, a training loop that resumes exactly, evaluation.
//!
//! [`Run`] is one training with one seed in one folder. [`Run::complete`] trains the missing part of it and
//! returns its [`RunResult`]. [`Training`] is the same in memory, some steps at a time; without the feature `runs` the crate has
//! no more than that, and needs neither files nor threads nor a terminal.

mod atomic_write;
mod average;
#[cfg(feature = "runs")]
mod bridge;
#[cfg(feature = "runs")]
mod checkpoint;
mod classifier;
mod config;
#[cfg(feature = "runs")]
mod dashboard;
mod environment;
mod error;
mod evaluate;
#[cfg(feature = "runs")]
mod events;
mod first_kernels;
mod gradients;
mod in_memory;
mod loaders;
#[cfg(feature = "runs")]
mod machine;
#[cfg(feature = "runs")]
mod memory;
#[cfg(feature = "runs")]
mod metrics_file;
mod mixing;
mod observer;
#[cfg(feature = "runs")]
mod parallel;
mod placement;
mod progress;
mod provenance;
#[cfg(feature = "runs")]
mod range_test;
mod record;
#[cfg(feature = "runs")]
mod response;
mod rule;
#[cfg(feature = "runs")]
mod run;
mod schedule;
mod score;
#[cfg(feature = "runs")]
mod score_metric;
#[cfg(feature = "runs")]
mod smoothed;
#[cfg(feature = "runs")]
mod training_loop;
#[cfg(feature = "runs")]
mod unexpected;
mod update;
mod updater;
#[cfg(feature = "runs")]
mod warm_up;

pub use classifier::Classifier;
pub use config::{DataConfig, Evaluation, FinalWeights, Initial, Recipe, RunConfig, TrainingError};
#[cfg(feature = "runs")]
pub use dashboard::spoken;
pub use environment::{Data, Environment};
pub use error::TrainError;
pub use evaluate::{EvaluationResult, PredictedClasses, Predictions, evaluate, for_each_image};
pub use first_kernels::first_kernels;
pub use in_memory::{Advance, Pass, Training, TrainingStep};
pub use loaders::evaluation_loader;
#[cfg(feature = "runs")]
pub use memory::{LeastMemory, peak as peak_memory};
pub use mixing::Mixing;
pub use observer::Observer;
pub use placement::{Placement, Reduction};
pub use provenance::RESULTS;
#[cfg(feature = "runs")]
pub use range_test::{RatePoint, RateRange, SuggestedRate};
pub use record::EpochRow;
#[cfg(feature = "runs")]
pub use response::LrnResponse;
pub use rule::{Moments, OptimizerConfig, UpdateRule, optimizer};
#[cfg(feature = "runs")]
pub use run::{Failure, KeptRun, Label, Run, RunRecord, RunResult, RunStatus, Session};
pub use schedule::{Plateau, PlateauState, Schedule};
pub use score::{Score, averaged_softmax};
#[cfg(feature = "runs")]
pub use unexpected::{Unexpected, catch, keep_panics};
pub use update::{Elapsed, PaperSgd};
pub use updater::{Together, Updater};
#[cfg(feature = "runs")]
pub use warm_up::WarmUp;

// `derive(RecordState)` outside Burn expands to these names at the crate root.
#[allow(unused_imports)]
pub(crate) use burn::optim::{RecordState, StateSink, StateSource, join_index, join_path};
