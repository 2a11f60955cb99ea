use std::path::PathBuf;

use alexnet_config::ConfigError;
use alexnet_model::NetworkError;

use crate::WeightsError;

/// Why a file of weights cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read as weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The network, the preparation of images or the classes cannot be determined.
    #[error("{}: {source}", path.display())]
    Unresolved {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        source: Unresolved,
    },
}

/// Why weights cannot be used without further information.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unresolved {
    /// An entry of the metadata is damaged.
    #[error("the `{key}` in the metadata: {source}")]
    Metadata {
        /// The entry.
        key: &'static str,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file beside a record is damaged.
    #[error("{} is damaged: {source}", path.display())]
    Beside {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No preset has the tensors' shapes.
    #[error("these weights fit no preset{nearest}")]
    NoPreset {
        /// Why the nearest preset does not fit, as a phrase in parentheses, or nothing.
        nearest: String,
    },
    /// Several presets have the tensors' shapes.
    #[error("these weights fit {}", names.join(", "))]
    SeveralPresets {
        /// The presets.
        names: Vec<String>,
    },
    /// The network is invalid.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A preset is invalid.
    #[error(transparent)]
    Preset(#[from] ConfigError),
    /// The tensors' names follow no library.
    #[error(transparent)]
    Names(#[from] WeightsError),
    /// The preparation of images is invalid.
    #[error("preprocessing: {problem}")]
    Preprocessing {
        /// What is wrong.
        problem: String,
    },
    /// Images are prepared for another network.
    #[error("prepares {crop} pixels in {channels} channels, but network `{network}` takes {size} in {takes}")]
    Mismatch {
        /// The side of the prepared image.
        crop: usize,
        /// Its channels.
        channels: usize,
        /// The network.
        network: String,
        /// The side of its input.
        size: usize,
        /// Its input channels.
        takes: usize,
    },
}
