//! A finished run without its weights: one line of JSON, which another machine can compare.

use std::fs;

use alexnet_data::Dataset;
use serde::{Deserialize, Serialize};

use super::folder::FAILURE;
use super::{Run, RunRecord, RunResult, RunStatus, Session};
use crate::TrainError;
use crate::metrics_file::append;
use crate::record::EpochRow;

/// What comparisons need of a finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRun {
    /// The name of the run's folder, which ends with the run's identity.
    pub run: String,
    /// The sessions, without the machine's name.
    pub sessions: Vec<Session>,
    /// The result.
    pub result: RunResult,
    /// The last two rows of each split, and those of the epoch of the final weights. The seconds of the last `train` row
    /// are those of all epochs.
    pub rows: Vec<EpochRow>,
}

impl KeptRun {
    /// Returns the version of the results, or `None` if sessions differ in it.
    pub fn results(&self) -> Option<u32> {
        let first = self.sessions.first()?.results;
        first.filter(|_| self.sessions.iter().all(|session| session.results == first))
    }
}

impl Run {
    /// Returns the run without its weights, if it is finished.
    ///
    /// # Errors
    /// If its files are damaged.
    pub fn kept(&self) -> Result<Option<KeptRun>, TrainError> {
        let RunStatus::Finished(result) = self.status()? else { return Ok(None) };
        let sessions = self.record()?.sessions.into_iter();
        let rows = self.metrics()?;
        let train = rows.iter().filter(|row| row.split == "train");
        let seconds: f64 = train.map(|row| row.seconds).sum();
        let mut kept = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            let later = rows[place + 1..].iter().filter(|other| other.split == row.split).count();
            if later < 2 || row.epoch == result.final_epoch {
                let seconds = match (row.split.as_str(), later) {
                    ("train", 0) => seconds,
                    ("train", _) => 0.0,
                    _ => row.seconds,
                };
                kept.push(EpochRow { seconds, ..row.clone() });
            }
        }
        Ok(Some(KeptRun {
            run: self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sessions: sessions.map(|session| Session { host: None, ..session }).collect(),
            result,
            rows: kept,
        }))
    }

    /// Writes the files of a run that was finished elsewhere, unless this one has begun or is being trained. Returns whether
    /// it did. The run then has no weights.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn restore(&self, kept: &KeptRun, data: &Dataset) -> Result<bool, TrainError> {
        if self.status()? != RunStatus::New {
            return Ok(false);
        }
        fs::create_dir_all(&self.folder).map_err(TrainError::write(&self.folder))?;
        let _lock = match self.lock() {
            Err(TrainError::Locked { .. }) => return Ok(false),
            lock => lock?,
        };
        // Another process may have finished it meanwhile.
        if self.status()? != RunStatus::New {
            return Ok(false);
        }
        let _ = fs::remove_file(self.file(FAILURE));
        self.write_json(
            "run.json",
            &RunRecord {
                identity: self.identity.clone(),
                seed: self.seed,
                data: data.name.clone(),
                checksum: data.checksum.clone(),
                config: self.config.clone(),
                sessions: kept.sessions.clone(),
            },
        )?;
        let metrics = self.file("metrics.jsonl");
        let _ = fs::remove_file(&metrics); // of a kill between these lines
        append(&metrics, &kept.rows)?;
        // Last, since it makes the run finished.
        self.write_json("result.json", &kept.result)?;
        Ok(true)
    }
}
