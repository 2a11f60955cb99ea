//! Studies: an [`Ablation`] at a [`Scale`] over seeds, resolved to the configs of its arms, planned as [`Task`]s, and what
//! their results are worth.

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
