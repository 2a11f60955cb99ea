//! Weights in and out.
//!
//! [`Weights`] is a file's tensors by name, whatever wrote it: PyTorch (`.pth`, either format; nothing in
//! it is executed), safetensors, Caffe, this project's own records. `Weights::network` builds a network from them and `Weights::of` takes
//! them from one; `Names` are what libraries call AlexNet's layers. In files a layer is whole, as in every
//! library: towers are rows of one matrix, a convolution's `[filters, channels / groups, height, width]`,
//! a fully connected layer's `[units, inputs]`.

mod caffe;
mod error;
mod file;
mod foreign;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "network")]
mod names;
mod pytorch;
mod record;
mod safetensors;
mod tensors;
mod unpickling;

pub use caffe::read_caffe_mean;
pub use error::WeightsError;
#[cfg(feature = "network")]
pub use names::Names;
pub use tensors::{Checkpoint, Tensor, Weights};
