//! Studies. An [`Ablation`] at a [`Scale`] over seeds is resolved to the configs of its arms and planned as
//! [`Task`]s. The statistics compare the results.

pub mod ablation;
pub mod arm;
mod clock;
mod critical;
pub mod design;
mod error;
pub mod power;
mod scale;
pub mod statistics;
mod study;
mod training;
pub mod versions;

pub use ablation::Ablation;
pub use clock::Clock;
pub use critical::Critical;
pub use error::{ArmProblem, StudyError};
pub use scale::Scale;
pub use study::{Seeds, Source, Study, StudyArm, Task};
