//! What lies in a run's folder.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alexnet_data::{Preprocessing, Views, hook, sync_folder};
use serde::{Deserialize, Serialize};

use super::Run;
use crate::TrainError;
use crate::checkpoint::{Checkpoints, write_whole};
use crate::config::RunConfig;
use crate::environment::{Data, Environment};
use crate::evaluate::{Answers, EvaluationResult, Predictions};
use crate::events;
use crate::placement::Placement;
use crate::provenance::{RESULTS, host, processor};
use crate::record::{EpochRow, read_metrics};
use crate::response::LrnResponse;

const LOCK_ATTEMPTS: usize = 10;

/// What is done to a photograph before the network sees it.
const PREPROCESSING: &str = "preprocessing.json";

/// What the network's outputs mean.
const CLASSES: &str = "classes.json";

/// Why a run could not go on, for people and reports that come later.
pub(super) const FAILURE: &str = "failure.txt";

/// Where and how the program failed unexpectedly, for whoever mends it.
pub(super) const REPORT: &str = "failure-report.txt";

/// `run.json`: what a run is, and each time it was worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The run's identity.
    pub identity: String,
    /// The seed.
    pub seed: u64,
    /// The data set's name.
    pub data: String,
    /// The data set's checksum.
    pub checksum: String,
    /// The config.
    pub config: RunConfig,
    /// Each time it was worked on.
    pub sessions: Vec<Session>,
}

/// One time a run was worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Seconds since 1970.
    pub started: u64,
    /// The epoch it began with.
    pub from_epoch: usize,
    /// The version of the code.
    pub code_version: String,
    /// The version of the results, [`RESULTS`]; absent in older records.
    #[serde(default)]
    pub results: Option<u32>,
    /// The backend.
    pub backend: String,
    /// Which form of the operations computed: `fast` or `composed`.
    pub operations: String,
    /// The device, as Burn calls it.
    pub device: String,
    /// The processor's architecture and the widest vector instructions it has.
    pub processor: String,
    /// The machine's name, if it is known.
    #[serde(default)]
    pub host: Option<String>,
    /// Threads that computed.
    pub threads: usize,
    /// Threads that prepared batches.
    pub workers: usize,
}

/// `result.json`: what a finished run found. It is written last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// Epochs trained.
    pub epochs: usize,
    /// Updates made.
    pub steps: usize,
    /// The epoch of the final weights.
    pub final_epoch: usize,
    /// Weights and biases.
    pub parameters: usize,
    /// How strongly LRN responded, layer by layer.
    pub lrn: Vec<LrnResponse>,
    /// Tests of the final weights, one for each kind of views asked for.
    pub tests: Vec<EvaluationResult>,
    /// The most memory that the process had while it worked on the run, where the system tells; other runs
    /// that it worked on at the same time are in it.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
}

impl RunResult {
    /// The test with these views, if it was made.
    pub fn test(&self, views: Views) -> Option<&EvaluationResult> {
        self.tests.iter().find(|test| test.views == views)
    }
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStatus {
    /// Nothing is there.
    New,
    /// This many epochs are done.
    Unfinished(usize),
    /// All is done.
    Finished(RunResult),
}

/// Keeps the reason why the run in a folder could not go on, until it does. A full disk may refuse that too; the
/// error itself is what counts.
pub fn keep_failure(folder: &Path, why: &str) {
    let _ = fs::create_dir_all(folder).and_then(|()| fs::write(folder.join(FAILURE), format!("{why}\n")));
}

/// Why the run in a folder could not go on when it was last worked on, if it could not.
pub fn failure(folder: &Path) -> Option<String> {
    Some(fs::read_to_string(folder.join(FAILURE)).ok()?.trim_end().to_owned())
}

impl Run {
    pub(super) fn read(folder: &Path) -> Result<RunRecord, TrainError> {
        read_record(&folder.join("run.json"))?.ok_or_else(|| {
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "not a run folder");
            TrainError::read(folder.join("run.json"))(missing)
        })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.file("checkpoints"))
    }

    /// The run's weights, once it is finished.
    pub fn weights(&self) -> PathBuf {
        self.file("weights.bpk")
    }

    /// How a photograph becomes an input of the run's network, once the run is finished; `None` where its inputs reach
    /// beyond its images, and of runs older than this file.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn preprocessing(&self) -> Result<Option<Preprocessing>, TrainError> {
        read_json(&self.file(PREPROCESSING))
    }

    pub(super) fn keep_preprocessing(&self, data: &Data) -> Result<(), TrainError> {
        let (config, size) = (&self.config, data.dataset.size);
        let side = config.network.input.size;
        let how = Preprocessing::of_run(&data.statistics, config.data.mean, config.data.scale, size, side);
        match how {
            Some(how) => {
                write_whole(&self.file(PREPROCESSING), &serde_json::to_vec(&how).expect("plain numbers"))
            }
            None => Ok(()),
        }
    }

    /// The classes that the run's network tells apart, in the order of its outputs, once the run is finished; `None` of runs
    /// older than this file.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn classes(&self) -> Result<Option<Vec<String>>, TrainError> {
        read_json(&self.file(CLASSES))
    }

    pub(super) fn keep_classes(&self, data: &Data) -> Result<(), TrainError> {
        write_whole(&self.file(CLASSES), &serde_json::to_vec(&data.dataset.classes).expect("plain texts"))
    }

    /// The rows of `metrics.jsonl`.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn metrics(&self) -> Result<Vec<EpochRow>, TrainError> {
        read_metrics(&self.file("metrics.jsonl"))
    }

    /// How far the run is.
    ///
    /// # Errors
    /// If its files are damaged.
    pub fn status(&self) -> Result<RunStatus, TrainError> {
        if let Some(result) = read_json(&self.file("result.json"))? {
            return Ok(RunStatus::Finished(result));
        }
        Ok(match self.checkpoints().newest()? {
            Some(progress) => RunStatus::Unfinished(progress.epoch),
            None => RunStatus::New,
        })
    }

    fn answers_file(views: Views) -> &'static str {
        match views {
            Views::Centre => "answers-centre.json",
            Views::Ten => "answers-ten.json",
        }
    }

    /// Keeps what the final weights took each test image for.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep_answers(&self, predictions: &Predictions, views: Views) -> Result<(), TrainError> {
        let text = serde_json::to_vec(&predictions.answers()).expect("plain numbers");
        write_whole(&self.file(Self::answers_file(views)), &text)
    }

    /// What the final weights took each test image for, if that was kept.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn answers(&self, views: Views) -> Result<Option<Answers>, TrainError> {
        read_json(&self.file(Self::answers_file(views)))
    }

    /// `run.json`.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn record(&self) -> Result<RunRecord, TrainError> {
        Self::read(&self.folder)
    }

    /// Whether a process is working on the run.
    pub fn is_locked(&self) -> bool {
        matches!(
            File::open(self.file("lock")).map(|file| file.try_lock_shared()),
            Ok(Err(TryLockError::WouldBlock))
        )
    }

    /// How much of a run in progress its newest checkpoint has: epochs done and updates made.
    ///
    /// # Errors
    /// If the checkpoint is damaged.
    pub fn checkpoint(&self) -> Result<Option<(usize, usize)>, TrainError> {
        Ok(self.checkpoints().newest()?.map(|progress| (progress.epoch, progress.step)))
    }

    /// The lock dies with the process, so a kill never leaves a run locked.
    pub(super) fn lock(&self) -> Result<File, TrainError> {
        let path = self.file("lock");
        let file = File::create(&path).map_err(TrainError::write(&path))?;
        // Someone may only be looking whether it is locked.
        for _ in 0..LOCK_ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
                Err(TryLockError::Error(error)) => return Err(TrainError::write(&path)(error)),
            }
        }
        Err(TrainError::Locked { path: self.folder.clone() })
    }

    pub(super) fn clear(&self) -> Result<(), TrainError> {
        let remove = |name: &str| match fs::remove_file(self.file(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(TrainError::write(self.file(name))(error))
            }
            _ => {
                hook::changed();
                Ok(())
            }
        };
        // The result first, since without it nothing else passes for finished; then the checkpoints, since none may be left
        // that counts on rows of `metrics.jsonl`.
        remove("result.json")?;
        sync_folder(&self.folder).map_err(TrainError::write(&self.folder))?;
        self.checkpoints().delete_all()?;
        let [centre, ten] = [Views::Centre, Views::Ten].map(Self::answers_file);
        events::files(&self.folder).iter().for_each(|path| drop(fs::remove_file(path)));
        for name in
            ["weights.bpk", PREPROCESSING, CLASSES, centre, ten, "metrics.jsonl", "run.json", FAILURE, REPORT]
        {
            remove(name)?;
        }
        Ok(())
    }

    pub(super) fn record_session(
        &self,
        data: &Data,
        environment: &Environment,
        from_epoch: usize,
    ) -> Result<(), TrainError> {
        let path = self.file("run.json");
        let mut record = read_record(&path)?.unwrap_or_else(|| RunRecord {
            identity: self.identity.clone(),
            seed: self.seed,
            data: data.dataset.name.clone(),
            checksum: data.dataset.checksum.clone(),
            config: self.config.clone(),
            sessions: Vec::new(),
        });
        let session = Session {
            started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            from_epoch,
            code_version: environment.code_version.clone(),
            results: Some(RESULTS),
            backend: environment.backend.clone(),
            operations: environment.operations.to_string(),
            device: match &environment.placement {
                Placement::Towers(devices) if devices.len() == 1 => format!("{:?}", devices[0]),
                placement => format!("{placement:?}"),
            },
            processor: processor(),
            host: host(),
            threads: rayon::current_num_threads(),
            workers: environment.workers,
        };
        if let Some(last) = record.sessions.last() {
            for (what, before, now) in [
                ("code", &last.code_version, &session.code_version),
                ("backend", &last.backend, &session.backend),
                ("devices", &last.device, &session.device),
                ("operations", &last.operations, &session.operations),
                ("processor", &last.processor, &session.processor),
            ] {
                if before != now {
                    let folder = self.folder.display();
                    environment.observer.note(&format!(
                        "note: {folder} was begun with {what} {before} and goes on with {now}; \
                         the result may differ from an uninterrupted run"
                    ));
                }
            }
        }
        record.sessions.push(session);
        self.write_json("run.json", &record)
    }

    pub(super) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), TrainError> {
        let mut text = serde_json::to_vec_pretty(value).expect("plain values");
        text.push(b'\n');
        write_whole(&self.file(name), &text)
    }
}

fn read_record(path: &Path) -> Result<Option<RunRecord>, TrainError> {
    read_json(path)
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, TrainError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TrainError::read(path)(error)),
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| TrainError::Damaged { path: path.to_owned(), problem: error.to_string() })
}
