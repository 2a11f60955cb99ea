//! Studies. An [`Ablation`] at a [`Scale`] over seeds is resolved to the configs of its arms and planned as
//! [`Task`]s. The statistics compare the results.

pub mod ablation;
pub mod arm;
mod clock;
pub mod design;
mod scale;
pub mod statistics;
mod study;
pub mod versions;

pub use ablation::Ablation;
pub use clock::Clock;
pub use scale::Scale;
pub use study::{Seeds, Source, Study, StudyArm, Task};
