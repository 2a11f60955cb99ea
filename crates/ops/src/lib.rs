//! AlexNet operations that Burn lacks or computes slowly, and the only backend-specific code.
//!
//! Every operation takes and returns Burn tensors, runs on every backend and is differentiable. [`composed`]
//! implements each with Burn's own operations; on Flex and on GPU backends the slow ones have custom kernels. The
//! model calls these functions and never a backend.
//!
//! - [`conv2d`]: convolution with four-sided padding, groups and an optional ReLU
//! - [`locally_connected2d`]: convolution whose kernels differ by position
//! - [`linear`]: fully connected layer with optional ReLU and dropout
//! - [`max_pool2d`], [`avg_pool2d`]: pooling, overlapping or not, in floor or ceil mode
//! - [`lrn`]: local response normalization across channels; [`spatial_lrn`]: within each map
//! - [`batch_norm`]: batch normalization with the statistics of the batch
//! - [`relu`], [`tanh`], [`sigmoid`], [`leaky_relu`], [`elu`], [`gelu`], [`silu`]: activations
//! - [`group_norm`]: group normalization
//! - [`cross_entropy`]: the loss; [`soft_cross_entropy`]: with a distribution in place of the true class
//! - [`DeviceImages`]: images that wait on the device as bytes, from which inputs are cut
//! - [`DropoutMask`]: a dropout mask that depends only on its keys, the same on every backend
//! - [`sgd_step`]: the paper's update; [`SgdSteps`]: that of all parameters in one launch
//! - [`FiniteCheck`]: whether gradients are finite
//! - [`SimdLevel`]: the instruction set that kernels run with
//! - [`Key`]: the source of every random draw in the project
//! - [`keep_memory`]: keeps freed memory in the process for the next step
//! - [`count_launches`]: the kernels that a GPU backend launches; [`KeptKernels`]: those it keeps
//! - [`Precision`]: the precision of a layer's products
//! - [`Backend`]: the backends of this build, and the device that `--backend` selects

mod activation;
mod backend;
mod batch_norm;
pub mod composed;
mod config;
mod conv;
mod cross_entropy;
mod cut;
mod dropout;
mod finite;
#[cfg(feature = "flex")]
mod flex;
mod gpu;
mod implementation;
mod key;
mod level;
#[cfg(all(test, feature = "flex"))]
mod levels;
mod linear;
mod local;
mod lrn;
mod lrn_pool;
pub mod math;
mod memory;
mod pool;
mod precision;
mod sgd;
mod shapes;
mod spatial_lrn;
#[cfg(test)]
mod testing;
mod threads;

pub use activation::{elu, gelu, leaky_relu, relu, sigmoid, silu, tanh};
pub use backend::{Backend, BackendError, fits, fits_memory};
pub use batch_norm::{BatchNormalized, batch_norm, group_norm};
pub use composed::lrn_scale;
pub use config::{
    AlphaConvention, Conv2d, ConvMethod, Finish, ImageCut, Lrn, Padding, Pool, Rounding, SgdStep,
};
pub use conv::{conv_max_pool2d, conv2d};
pub use cross_entropy::{cross_entropy, soft_cross_entropy};
pub use cut::DeviceImages;
pub use dropout::DropoutMask;
pub use finite::FiniteCheck;
pub use gpu::{KeptKernels, LaunchCount, Tuning, TuningError, count_launches, on_launch};
pub use implementation::Implementation;
pub use key::Key;
pub use level::{SimdError, SimdLevel};
pub use linear::linear;
pub use local::locally_connected2d;
pub use lrn::lrn;
pub use lrn_pool::lrn_max_pool2d;
pub use memory::{keep_memory, machine_memory, release_memory};
pub use pool::{avg_pool2d, max_pool2d};
pub use precision::{Precision, PrecisionError};
pub use sgd::{SgdSteps, sgd_step};
pub use spatial_lrn::spatial_lrn;
