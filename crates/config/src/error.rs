/// Why a config cannot be read or changed. Each displays as one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no built-in file of this name.
    #[error("there is no {what} `{name}`; choose one of {}, or give the path of a TOML file", known.join(", "))]
    Unknown {
        /// The kind of file: `scale`, `network`.
        what: String,
        /// The name that was asked for.
        name: String,
        /// The names of all files of this kind.
        known: Vec<String>,
    },
    /// A file cannot be read.
    #[error("cannot read {what} {path}: {source}")]
    Read {
        /// The kind of file.
        what: String,
        /// The path that was given.
        path: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The text is not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// A value does not fit.
    #[error("{}{problem}", if path.is_empty() { String::new() } else { format!("at `{path}`: ") })]
    Key {
        /// The key's dotted path; empty at the top.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A change cannot be made.
    #[error("{0}")]
    Change(String),
    /// An error in something that has a name.
    #[error("{context}: {problem}")]
    In {
        /// What it is in.
        context: String,
        /// The error.
        problem: Box<ConfigError>,
    },
}

impl ConfigError {
    /// The error with what it is in: `network `mini``.
    pub fn within(self, context: impl Into<String>) -> Self {
        Self::In { context: context.into(), problem: Box::new(self) }
    }

    pub(crate) fn key(path: &str, problem: impl Into<String>) -> Self {
        Self::Key { path: path.to_owned(), problem: problem.into() }
    }
}
