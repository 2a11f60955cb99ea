//! The files in a run's folder.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alexnet_data::{Preprocessing, Views, hook, sync_folder};
use alexnet_weights::{Known, PreprocessingSource};
use serde::{Deserialize, Serialize};

use super::Run;
use crate::TrainError;
use crate::atomic_write::atomic_write;
use crate::checkpoint::Checkpoints;
use crate::config::RunConfig;
use crate::environment::{Data, Environment};
use crate::evaluate::{EvaluationResult, PredictedClasses, Predictions};
use crate::events;
use crate::machine::{host, processor};
use crate::metrics_file::read_metrics;
use crate::placement::Placement;
use crate::provenance::RESULTS;
use crate::record::EpochRow;
use crate::response::LrnResponse;

const LOCK_ATTEMPTS: usize = 10;

/// The preprocessing of photographs for the network.
const PREPROCESSING: &str = "preprocessing.json";

/// The classes of the network's outputs.
const CLASSES: &str = "classes.json";

/// The reason why a run could not continue, for people and later reports.
pub(super) const FAILURE: &str = "failure.txt";

/// A report of an unexpected failure, for developers.
pub(super) const REPORT: &str = "failure-report.txt";

/// `run.json`: a run's definition and its sessions.
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
    /// The sessions.
    pub sessions: Vec<Session>,
}

/// One session of work on a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The start time, in seconds since 1970.
    pub started: u64,
    /// The first epoch of the session.
    pub from_epoch: usize,
    /// The version of the code.
    pub code_version: String,
    /// The version of the results, [`RESULTS`]; absent in older records.
    #[serde(default)]
    pub results: Option<u32>,
    /// The backend.
    pub backend: String,
    /// The form of the operations: `fast`, `direct` or `composed`.
    pub operations: String,
    /// The device, as Burn names it.
    pub device: String,
    /// The processor's architecture and its widest vector instructions.
    pub processor: String,
    /// The machine's name, if it is known.
    #[serde(default)]
    pub host: Option<String>,
    /// The number of compute threads.
    pub threads: usize,
    /// The number of threads that prepared batches.
    pub workers: usize,
}

/// The first version of the results whose bits do not depend on the vector level of the processor.
const PORTABLE: u32 = 3;

impl Session {
    /// Returns whether nothing of the processor matters to the bits but whether it has fused multiply-add.
    pub fn is_portable(&self) -> bool {
        let kinds = || self.backend.split(',').map(|name| name.split(':').next().unwrap_or(name));
        self.results.is_some_and(|results| results >= PORTABLE)
            && self.operations != "composed"
            && kinds().all(|kind| kind == "flex")
    }
}

/// `result.json`: the result of a finished run. It is written last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// The number of trained epochs.
    pub epochs: usize,
    /// The number of updates.
    pub steps: usize,
    /// The epoch of the final weights.
    pub final_epoch: usize,
    /// The number of weights and biases.
    pub parameters: usize,
    /// How strongly each LRN layer responded.
    pub lrn: Vec<LrnResponse>,
    /// The tests of the final weights, one for each kind of views.
    pub tests: Vec<EvaluationResult>,
    /// The peak memory of the process while it worked on the run, if the system reports it. It includes other
    /// runs that the process worked on at the same time.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
}

impl RunResult {
    /// Returns the test with these views, if it exists.
    pub fn test(&self, views: Views) -> Option<&EvaluationResult> {
        self.tests.iter().find(|test| test.views == views)
    }
}

/// The status of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStatus {
    /// The run has no files.
    New,
    /// This many epochs are done.
    Unfinished(usize),
    /// Training and test are done.
    Finished(RunResult),
}

/// Why the last session of a run could not continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The reason.
    pub why: String,
    /// Whether the run diverged: it will do so again, and counts as ended. Another session may mend any other failure.
    pub diverged: bool,
}

/// The last line of the file of a run that diverged.
const DIVERGED: &str = "\ndiverged";

impl Failure {
    /// A failure that another session may mend.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), diverged: false }
    }

    /// The failure of a run that ended with an error.
    pub fn of(error: &TrainError) -> Self {
        let diverged = matches!(error, TrainError::Diverged { .. } | TrainError::Gradient { .. });
        Self { why: error.to_string(), diverged }
    }

    /// Stores the failure of the run in a folder. It is removed once the run continues. A full disk may prevent this, but the
    /// error itself is reported anyway.
    pub fn keep(&self, folder: &Path) {
        let mark = if self.diverged { DIVERGED } else { "" };
        let text = format!("{}{mark}\n", self.why);
        let written = fs::create_dir_all(folder).map_err(TrainError::write(folder));
        let _ = written.and_then(|()| atomic_write(&folder.join(FAILURE), text.as_bytes()));
    }

    /// Reads the failure of the run in a folder, if its last session failed.
    pub fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(FAILURE)).ok()?;
        let text = text.trim_end();
        let why = text.strip_suffix(DIVERGED);
        Some(Self { why: why.unwrap_or(text).to_owned(), diverged: why.is_some() })
    }
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

    /// Returns the path of the run's weights, which exist once it is finished.
    pub fn weights(&self) -> PathBuf {
        self.file("weights.bpk")
    }

    /// Returns the preprocessing of photographs for the run's network, once the run is finished. Returns
    /// `None` if inputs extend beyond the images, and for runs from before this file existed.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn preprocessing(&self) -> Result<Option<Preprocessing>, TrainError> {
        read_json(&self.file(PREPROCESSING))
    }

    pub(super) fn keep_preprocessing(&self, data: &Data) -> Result<(), TrainError> {
        let (config, size) = (&self.config, data.dataset.size);
        let side = config.network.input.size;
        let preprocessing =
            Preprocessing::of_run(&data.statistics, config.data.mean, config.data.scale, size, side);
        match preprocessing {
            Some(preprocessing) => atomic_write(
                &self.file(PREPROCESSING),
                &serde_json::to_vec(&preprocessing).expect("plain numbers"),
            ),
            None => Ok(()),
        }
    }

    /// Returns the classes of the network's outputs, in order, once the run is finished. Returns `None` for
    /// runs from before this file existed.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn classes(&self) -> Result<Option<Vec<String>>, TrainError> {
        read_json(&self.file(CLASSES))
    }

    /// Returns what the run says about its weights: the network, the classes and, unless it is known otherwise, the
    /// preparation of images.
    ///
    /// # Errors
    /// If a file is damaged that is needed.
    pub fn known(&self, preprocessing: Option<PreprocessingSource>) -> Result<Known, TrainError> {
        let preprocessing = match preprocessing {
            Some(known) => Some(known),
            None => self.preprocessing()?.map(PreprocessingSource::Given),
        };
        let network = Some(self.config.network.clone());
        Ok(Known { network, preprocessing, classes: self.classes()?, trained_here: true })
    }

    pub(super) fn keep_classes(&self, data: &Data) -> Result<(), TrainError> {
        atomic_write(&self.file(CLASSES), &serde_json::to_vec(&data.dataset.classes).expect("plain texts"))
    }

    /// Reads the rows of `metrics.jsonl`.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn metrics(&self) -> Result<Vec<EpochRow>, TrainError> {
        read_metrics(&self.file("metrics.jsonl"))
    }

    /// Returns the status of the run.
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

    /// Stores the class that the final weights predict for each test image.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep_answers(&self, predictions: &Predictions, views: Views) -> Result<(), TrainError> {
        let text = serde_json::to_vec(&predictions.answers()).expect("plain numbers");
        atomic_write(&self.file(Self::answers_file(views)), &text)
    }

    /// Returns the class that the final weights predict for each test image, if it was stored.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn answers(&self, views: Views) -> Result<Option<PredictedClasses>, TrainError> {
        read_json(&self.file(Self::answers_file(views)))
    }

    /// Reads `run.json`.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn record(&self) -> Result<RunRecord, TrainError> {
        Self::read(&self.folder)
    }

    /// Returns whether a process is working on the run.
    pub fn is_locked(&self) -> bool {
        matches!(
            File::open(self.file("lock")).map(|file| file.try_lock_shared()),
            Ok(Err(TryLockError::WouldBlock))
        )
    }

    /// Returns the completed epochs and the updates in the newest checkpoint of a run in progress.
    ///
    /// # Errors
    /// If the checkpoint is damaged.
    pub fn checkpoint(&self) -> Result<Option<(usize, usize)>, TrainError> {
        Ok(self.checkpoints().newest()?.map(|progress| (progress.epoch, progress.step)))
    }

    /// Locks the run. The system releases the lock when the process ends, so a kill never leaves a run
    /// locked.
    pub(super) fn lock(&self) -> Result<File, TrainError> {
        let path = self.file("lock");
        let file = File::create(&path).map_err(TrainError::write(&path))?;
        // Another process may hold the lock briefly, to test whether the run is locked.
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
        // The result goes first, because without it no other file makes the run look finished. The
        // checkpoints go next, because they rely on rows of `metrics.jsonl`.
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
            // The project's kernels on Flex give the same bits on all processors that share a run's name.
            let (processor_before, processor_now) = match session.is_portable() {
                true => (&session.processor, &session.processor),
                false => (&last.processor, &session.processor),
            };
            for (what, before, now) in [
                ("code", &last.code_version, &session.code_version),
                ("backend", &last.backend, &session.backend),
                ("devices", &last.device, &session.device),
                ("operations", &last.operations, &session.operations),
                ("processor", processor_before, processor_now),
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
        atomic_write(&self.file(name), &text)
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
