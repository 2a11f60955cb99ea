//! The operations of AlexNet that Burn lacks or does slowly, and the one place with code for backends.
//!
//! Every operation here takes and returns Burn tensors, runs on every backend and differentiates.
//! In [`composed`] each is written in terms of Burn's own operations; on Flex the slow ones have
//! kernels of their own. The model calls these functions and never a backend.
//!
//! - [`conv2d`]: convolution with padding on four sides, groups and the ReLU; [`locally_connected2d`]:
//!   with kernels that differ from place to place
//! - [`linear`]: the fully connected layer, with the ReLU and dropout
//! - [`max_pool2d`], [`avg_pool2d`]: pooling, overlapping or not, floor or ceil mode
//! - [`lrn`]: local response normalization across channels; [`spatial_lrn`]: within each map
//! - [`tanh`]: the activation that the paper compares its own with
//! - [`DropoutMask`]: a dropout mask that is a function of its keys, the same on every backend
//! - [`sgd_step`]: the paper's update
//! - [`Key`]: where every random draw of the project comes from
//! - [`keep_memory`]: freed memory stays with the process, for the next step
//! - [`Backend`]: the backends in this build, and `--backend` turned into a device

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

    /// The device of every backend of this build.
    pub(crate) fn devices() -> Vec<Device> {
        let backends = crate::Backend::in_this_build().into_iter();
        backends.map(|backend| backend.device().expect("a test backend has a device")).collect()
    }

    /// The device that most unit tests run on: the first backend's of this build.
    pub(crate) fn device() -> Device {
        devices().swap_remove(0)
    }

    /// The values of a tensor, row-major.
    pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().expect("an f32 tensor")
    }
}
