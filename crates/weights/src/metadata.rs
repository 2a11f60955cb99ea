//! The keys of metadata.

/// The network, as TOML.
#[cfg(feature = "network")]
pub const NETWORK: &str = "network";
/// The preparation of images, as JSON.
#[cfg(feature = "network")]
pub(crate) const PREPROCESSING: &str = "preprocessing";
/// The ids of the classes, as JSON.
#[cfg(feature = "network")]
pub(crate) const CLASSES: &str = "classes";
/// In an ONNX file: that the factors of dropout are part of the weights.
pub(crate) const FOLDED: &str = "dropout_folded";
/// In an ONNX file: the number of entries. Metadata come last, and a file may be cut.
pub(crate) const ENTRIES: &str = "entries";
/// Of an ONNX file: the side in pixels of the graph's input.
pub(crate) const INPUT_SIDE: &str = "input_side";
