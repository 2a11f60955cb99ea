//! Studies. An [`Ablation`] at a [`Scale`] over seeds is resolved to the configs of its arms and planned as
//! [`Task`]s. The statistics compare the results.

pub mod ablation;
pub mod arm;
pub mod audit;
mod clock;
mod critical;
pub mod design;
mod error;
mod finished;
mod own_images;
pub mod power;
mod proportion;
pub mod registration;
mod scale;
mod seeds;
pub mod statistics;
mod study;
mod training;
pub mod versions;

pub use ablation::Ablation;
pub use audit::Audit;
pub use clock::Clock;
pub use critical::Critical;
pub use error::{ArmProblem, StudyError};
pub use finished::FinishedRuns;
pub use own_images::{OwnImages, SMALL, resized};
pub use proportion::proportion_interval;
pub use registration::Registration;
pub use scale::{Scale, whole};
pub use seeds::Seeds;
pub use study::{Source, Study, StudyArm, Task};
