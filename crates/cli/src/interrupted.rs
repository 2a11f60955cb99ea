//! Interruption by Ctrl-C.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use alexnet_data::DataError;
use anyhow::Result;

/// The command was interrupted. Its results so far are kept.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Interrupted(pub(crate) String);

/// Set by the first Ctrl-C. Commands receive it as an argument. Code deep inside a command, such as a
/// download of required weights, reads it here.
pub(crate) static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Turns an interruption of work on data into [`Interrupted`], which is not a failure, with these words.
pub(crate) fn or_interrupted<T>(result: Result<T, DataError>, words: &str) -> Result<T> {
    result.map_err(|error| match error {
        DataError::Interrupted => Interrupted(words.to_owned()).into(),
        error => error.into(),
    })
}
