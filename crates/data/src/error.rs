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
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}; what is done is kept, and the same command goes on from there", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The work was stopped from outside.
    #[error("interrupted; the same command goes on from here")]
    Interrupted,
    /// A file is not what its name or location indicates.
    #[error("{file}: {problem}")]
    File {
        /// The file's path within its folder or archive.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A data set as a whole is invalid.
    #[error("data set `{name}`: {problem}")]
    Dataset {
        /// The data set.
        name: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
}

impl DataError {
    pub(crate) fn read(path: &std::path::Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &std::path::Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    /// Reports a problem at an offset in a file.
    pub(crate) fn at(file: &str, offset: u64, problem: impl std::fmt::Display) -> Self {
        Self::File { file: file.to_owned(), problem: format!("at byte {offset}: {problem}") }
    }

    pub(crate) fn file(file: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::File { file: file.into(), problem: problem.into() }
    }

    pub(crate) fn dataset(name: &str, problem: impl Into<String>) -> Self {
        Self::Dataset { name: name.to_owned(), problem: problem.into() }
    }
}
