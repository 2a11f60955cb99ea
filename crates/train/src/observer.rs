//! Who hears what a run does.

use std::time::Duration;

use crate::record::EpochRow;

/// Hears what a run does.
pub trait Observer: Send + Sync {
    /// How much of its training a run has behind it, as a fraction; asked back: the time left for all that
    /// is to be done, not only this run, if known.
    fn progress(&self, _label: &str, _done: f64) -> Option<Duration> {
        None
    }
    /// An epoch's rows, once its checkpoint is written.
    fn epoch(&self, label: &str, rows: &[EpochRow]);
    /// Something worth a line.
    fn note(&self, text: &str);
}
