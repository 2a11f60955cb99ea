//! The interface to the events of a run.

use std::time::Duration;

use crate::record::EpochRow;

/// Receives the events of a run.
pub trait Observer: Send + Sync {
    /// Reports the fraction of a run's training that is done. Returns the time left for all runs, if it is
    /// known.
    fn progress(&self, _label: &str, _done: f64) -> Option<Duration> {
        None
    }
    /// Reports that GPU kernels are tried out for `what` and the fraction that is done; at the end an empty text and 1.
    fn warming_up(&self, _what: &str, _done: f64) {}
    /// Reports an epoch's rows, after its checkpoint is written.
    fn epoch(&self, label: &str, rows: &[EpochRow]);
    /// Reports a note of one line.
    fn note(&self, text: &str);
}
