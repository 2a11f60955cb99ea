//! One config-driven AlexNet (Krizhevsky, Sutskever & Hinton 2012) and its relatives.
//!
//! Start at [`AlexNet::forward`]: the network, top to bottom, on one page. A [`Network`] is its config;
//! [`Preset`] has the published ones; [`Network::trace`] computes every layer's shape and parameter count
//! without building anything.

mod alexnet;
mod build;
mod config;
mod group_norm;
mod init;
mod layers;
mod parameters;
mod plan;
mod presets;
mod stages;
#[cfg(test)]
mod tests;
mod towers;
mod trace;

pub use alexnet::{AlexNet, Mode, Observe, Place};
pub use config::{
    Activation, BatchNormalization, Convolution, DropoutConvention, FullyConnected, GroupNormalization,
    InitialWeights, Input, Network, Reads, Stage, Update,
};
pub use init::Parameter;
pub use presets::Preset;
pub use trace::{LayerTrace, NetworkError, StageTrace, Trace};
