//! The run time of GPU backends, CubeCL: the kernels it launches, tries out and keeps.

mod launches;
mod tuning;

pub use launches::{LaunchCount, count_launches, on_launch};
pub use tuning::{KeptKernels, Tuning, TuningError};
