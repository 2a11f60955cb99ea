use std::path::PathBuf;

#[cfg(feature = "network")]
use alexnet_model::NetworkError;

/// The length at which names of tensors are cut.
const NAME: usize = 200;

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file is invalid.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor does not fit the network.
    #[error("tensor `{}`: {problem}", shown(tensor))]
    Tensor {
        /// The tensor's name in the file.
        tensor: String,
        /// What is wrong, and what is expected.
        problem: String,
    },
    /// A layer of the network is not in the file, or has another shape there.
    #[error("tensor `{}`: {problem}", shown(tensor))]
    Layer {
        /// The layer.
        layer: String,
        /// The tensor's name in the file.
        tensor: String,
        /// What is wrong, and what is expected.
        problem: String,
    },
    /// The names follow no known library.
    #[error(
        "the layers of network `{network}` are not in this file, neither as `{ours}` nor as `{theirs}`; \
         it has {found}"
    )]
    Names {
        /// The network.
        network: String,
        /// The name of its first tensor in this project.
        ours: String,
        /// The name of that tensor elsewhere.
        theirs: String,
        /// The first names in the file.
        found: String,
    },
    /// The network cannot be built.
    #[cfg(feature = "network")]
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// Returns a name in one line of bounded length.
fn shown(name: &str) -> String {
    let end = name.char_indices().nth(NAME);
    end.map_or_else(
        || name.escape_debug().to_string(),
        |(end, _)| format!("{} …", name[..end].escape_debug()),
    )
}
