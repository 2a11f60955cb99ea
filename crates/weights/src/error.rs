use std::path::PathBuf;

#[cfg(feature = "network")]
use alexnet_model::NetworkError;

/// Longer names of tensors are cut.
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
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor is not what the network needs.
    #[error("tensor `{}`: {problem}", shown(tensor))]
    Tensor {
        /// The tensor's name in the file.
        tensor: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The names are of no library that is known.
    #[error(
        "the layers of network `{network}` are not in this file, neither as `{ours}` nor as `{theirs}`; \
         it has {found}"
    )]
    Names {
        /// The network.
        network: String,
        /// What its first tensor is called here.
        ours: String,
        /// And elsewhere.
        theirs: String,
        /// The file's first names.
        found: String,
    },
    /// The network cannot be built.
    #[cfg(feature = "network")]
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// A name in one line of bounded length.
fn shown(name: &str) -> String {
    let end = name.char_indices().nth(NAME);
    end.map_or_else(
        || name.escape_debug().to_string(),
        |(end, _)| format!("{} …", name[..end].escape_debug()),
    )
}
