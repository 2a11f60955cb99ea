//! ONNX files: a whole network out, and the weights of an AlexNet in.

#[cfg(feature = "network")]
mod export;
#[cfg(feature = "network")]
mod folded;
#[cfg(feature = "network")]
mod graph;
mod import;
#[cfg(feature = "network")]
mod prepare;
mod proto;
#[cfg(all(test, feature = "network"))]
mod tests;

#[cfg(feature = "network")]
pub use export::OnnxError;
pub(crate) use import::read;
