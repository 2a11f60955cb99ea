//! A row of `metrics.jsonl`.

use serde::{Deserialize, Serialize};

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRow {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The number of updates so far, over all epochs.
    pub step: usize,
    /// `train` (as seen while training), `train-evaluated` (a pass in evaluation mode over fixed
    /// training images), `validation` or `test`.
    pub split: String,
    /// The mean negative log-probability of the true class.
    pub loss: f64,
    /// The top-1 error, as a fraction.
    pub top1_error: f64,
    /// The top-5 error, as a fraction.
    pub top5_error: f64,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// The wall-clock time of this pass.
    pub seconds: f64,
}
