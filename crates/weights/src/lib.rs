//! Reads and writes weights.
//!
//! [`load`] reads a file and determines the network, the preparation of images and the classes that go with it.
//! [`Weights`] holds a file's tensors by name, in any supported format: PyTorch (`.pth`, either format; no code in
//! it is executed), safetensors, Caffe, ONNX, and this project's own records. `Weights::network` builds a network from
//! them, `Weights::of` takes them from a network, and `Weights::to_onnx` writes a whole network as a graph. `Names` are the
//! names that libraries give AlexNet's layers.
//! In files a layer is whole, as in every library: towers are rows of one matrix, a convolution's `[filters,
//! channels / groups, height, width]`, a fully connected layer's `[units, inputs]`.

mod caffe;
mod error;
mod file;
mod foreign;
#[doc(hidden)]
#[cfg(feature = "pytorch")]
pub mod fuzzing;
#[cfg(feature = "network")]
mod imagenet;
#[cfg(feature = "network")]
mod load;
#[cfg(feature = "network")]
mod load_error;
mod metadata;
#[cfg(feature = "network")]
mod names;
mod onnx;
mod pickle;
#[cfg(feature = "network")]
mod preprocessing_source;
mod protobuf;
#[cfg(feature = "pytorch")]
mod pytorch;
mod record;
mod safetensors;
mod state_dict;
mod tensors;
#[cfg(feature = "pytorch")]
mod unpickling;
mod zip_entries;

pub use caffe::read_caffe_mean;
pub use error::WeightsError;
#[cfg(feature = "network")]
pub use imagenet::imagenet_classes;
#[cfg(feature = "network")]
pub use load::{Assumption, Known, Loaded, load, metadata_beside};
#[cfg(feature = "network")]
pub use load_error::{LoadError, Unresolved};
#[cfg(feature = "network")]
pub use metadata::NETWORK;
#[cfg(feature = "network")]
pub use names::Names;
#[cfg(feature = "network")]
pub use onnx::OnnxError;
#[cfg(feature = "network")]
pub use preprocessing_source::PreprocessingSource;
pub use tensors::{Checkpoint, Tensor, Weights};
