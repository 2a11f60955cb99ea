use std::path::PathBuf;

use alexnet_config::ConfigError;
use alexnet_train::TrainError;

/// The reason why a report cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The config of an arm cannot be shown.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The folder of a run cannot be read.
    #[error("{}: {source}", path.display())]
    Run {
        /// The folder.
        path: PathBuf,
        /// The problem.
        source: Box<TrainError>,
    },
    /// JSON cannot represent the report.
    #[error("a report that JSON cannot hold: {0}")]
    Json(#[from] serde_json::Error),
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_with_the_cause() {
        let source = std::io::Error::other("no space");
        let error = ReportError::Io { action: "write", path: "x/report.json".into(), source };
        assert_eq!(error.to_string(), "cannot write x/report.json: no space");
    }
}
