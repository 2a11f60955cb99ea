//! Studies. An [`Ablation`] at a [`Scale`] over seeds is resolved to the configs of its arms and planned as
//! [`Task`]s. The statistics compare the results. Without the feature `runs` the crate resolves ablations and compares numbers.

pub mod ablation;
pub mod arm;
#[cfg(feature = "runs")]
pub mod audit;
#[cfg(feature = "runs")]
mod clock;
mod critical;
pub mod design;
mod error;
#[cfg(feature = "runs")]
mod finished;
mod own_images;
pub mod power;
mod proportion;
#[cfg(feature = "runs")]
pub mod registration;
mod scale;
#[cfg(feature = "runs")]
mod seeds;
pub mod statistics;
#[cfg(feature = "runs")]
mod study;
#[cfg(feature = "runs")]
mod training;
#[cfg(feature = "runs")]
pub mod versions;

pub use ablation::Ablation;
#[cfg(feature = "runs")]
pub use audit::Audit;
#[cfg(feature = "runs")]
pub use clock::Clock;
pub use critical::Critical;
pub use error::{ArmProblem, StudyError};
#[cfg(feature = "runs")]
pub use finished::FinishedRuns;
pub use own_images::{OwnImages, SMALL, resized};
pub use proportion::proportion_interval;
#[cfg(feature = "runs")]
pub use registration::Registration;
pub use scale::{Scale, whole};
#[cfg(feature = "runs")]
pub use seeds::Seeds;
#[cfg(feature = "runs")]
pub use study::{PastLook, Source, Study, StudyArm, Task};
