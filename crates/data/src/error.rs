use std::path::PathBuf;

/// Why data cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is not what its name or place says.
    #[error("{file}: {problem}")]
    File {
        /// The file, inside its folder or archive.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A data set as a whole is not what it should be.
    #[error("data set `{name}`: {problem}")]
    Dataset {
        /// The data set.
        name: String,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl DataError {
    pub(crate) fn file(file: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::File { file: file.into(), problem: problem.into() }
    }

    pub(crate) fn dataset(name: &str, problem: impl Into<String>) -> Self {
        Self::Dataset { name: name.to_owned(), problem: problem.into() }
    }
}
