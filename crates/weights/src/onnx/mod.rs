//! ONNX files: a whole network out, and the weights of an AlexNet in.

#[cfg(feature = "network")]
mod export;
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
pub(crate) use import::{INPUT_SIDE, read};

/// The key of the metadata that says that factors of dropout are part of the weights.
const FOLDED: &str = "dropout_folded";
/// The key of the number of entries: metadata come last in a file, which may be cut.
const ENTRIES: &str = "entries";
