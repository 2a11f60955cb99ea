/// An error in reading or changing a config. Each displays as one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no built-in file of this name.
    #[error("there is no {what} `{name}`; choose one of {}, or give the path of a TOML file", known.join(", "))]
    Unknown {
        /// The kind of file: `scale`, `network`.
        what: String,
        /// The requested name.
        name: String,
        /// The names of all files of this kind.
        known: Vec<String>,
    },
    /// A file cannot be read.
    #[error("cannot read {what} {path}: {source}")]
    Read {
        /// The kind of file.
        what: String,
        /// The given path.
        path: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The text is not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// A key or its value is invalid.
    #[error("{}{problem}", if path.is_empty() { String::new() } else { format!("at `{path}`: ") })]
    Key {
        /// The key's dotted path; empty at the top level.
        path: String,
        /// The problem.
        problem: String,
    },
    /// A change cannot be made.
    #[error("{0}")]
    Change(String),
    /// An error inside a named item.
    #[error("{context}: {problem}")]
    In {
        /// The item.
        context: String,
        /// The error.
        problem: Box<ConfigError>,
    },
}

impl ConfigError {
    /// Wraps the error in a context: `network `mini``.
    pub fn within(self, context: impl Into<String>) -> Self {
        Self::In { context: context.into(), problem: Box::new(self) }
    }

    pub(crate) fn key(path: &str, problem: impl Into<String>) -> Self {
        Self::Key { path: path.to_owned(), problem: problem.into() }
    }
}
