//! The run time of GPU backends, CubeCL: the kernels it launches, tries out and keeps.

#[cfg(feature = "gpu")]
mod chacha;
#[cfg(feature = "gpu")]
pub(crate) mod finish;
#[cfg(feature = "gpu")]
mod finish_cube;
mod launches;
#[cfg(feature = "gpu")]
pub(crate) mod rows;
#[cfg(feature = "gpu")]
pub(crate) mod shapes;
#[cfg(feature = "gpu")]
pub(crate) mod tensors;
#[cfg(all(test, feature = "gpu", feature = "flex"))]
mod tests;
mod tuning;

pub use launches::{LaunchCount, count_launches, on_launch};
pub use tuning::{KeptKernels, Tuning, TuningError};
