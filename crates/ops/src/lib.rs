//! AlexNet operations that Burn lacks or computes slowly, and the only backend-specific code.
//!
//! Every operation takes and returns Burn tensors, runs on every backend and is differentiable. [`composed`]
//! implements each with Burn's own operations; on Flex the slow ones have custom kernels. The model calls
//! these functions and never a backend.
//!
//! - [`conv2d`]: convolution with four-sided padding, groups and an optional ReLU
//! - [`locally_connected2d`]: convolution whose kernels differ by position
//! - [`linear`]: fully connected layer with optional ReLU and dropout
//! - [`max_pool2d`], [`avg_pool2d`]: pooling, overlapping or not, in floor or ceil mode
//! - [`lrn`]: local response normalization across channels; [`spatial_lrn`]: within each map
//! - [`tanh`]: the activation that the paper compares with the ReLU
//! - [`DropoutMask`]: a dropout mask that depends only on its keys, the same on every backend
//! - [`sgd_step`]: the paper's update
//! - [`Key`]: the source of every random draw in the project
//! - [`keep_memory`]: keeps freed memory in the process for the next step
//! - [`Backend`]: the backends of this build, and the device that `--backend` selects

mod backend;
pub mod composed;
mod config;
mod conv;
#[cfg(feature = "gpu")]
mod cube;
mod dropout;
#[cfg(feature = "flex")]
mod flex;
mod implementation;
mod key;
mod linear;
mod lrn;
mod memory;
#[cfg(any(feature = "flex", feature = "gpu"))]
mod normalize;
mod pool;
mod sgd;
mod tanh;

pub use backend::{Backend, BackendError, fits, fits_memory};
pub use composed::lrn_scale;
pub use config::{AlphaConvention, Conv2d, Finish, Lrn, Padding, Pool, Rounding, SgdStep};
pub use conv::{conv_max_pool2d, conv2d, locally_connected2d};
pub use dropout::DropoutMask;
pub use implementation::Implementation;
pub use key::Key;
pub use linear::linear;
pub use lrn::{lrn, spatial_lrn};
pub use memory::{keep_memory, release_memory};
pub use pool::{avg_pool2d, lrn_max_pool2d, max_pool2d};
pub use sgd::sgd_step;
pub use tanh::tanh;

#[cfg(test)]
pub(crate) mod testing {
    use burn::tensor::{Device, Tensor};

    /// The devices of all backends in this build.
    pub(crate) fn devices() -> Vec<Device> {
        let backends = crate::Backend::in_this_build().into_iter();
        backends.map(|backend| backend.device().expect("a test backend has a device")).collect()
    }

    /// The device of most unit tests: that of this build's first backend.
    pub(crate) fn device() -> Device {
        devices().swap_remove(0)
    }

    /// The values of a tensor in row-major order.
    pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().expect("an f32 tensor")
    }
}
