//! Checkpoints, written atomically.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use alexnet_data::{DataError, file_sha256, hex, hook, sync_folder};

use burn::optim::OptimizerRecord;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use sha2::{Digest, Sha256};

use crate::TrainError;
use crate::progress::{Checksums, Progress};

/// The records of a checkpoint.
pub(crate) struct Records {
    pub(crate) model: ModuleRecord,
    pub(crate) optimizer: OptimizerRecord,
    /// The model with the average of its weights, if it is kept.
    pub(crate) average: Option<ModuleRecord>,
}

/// The position of a checkpoint: the completed epochs and the completed batches of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    epochs: usize,
    batches: usize,
}

impl Moment {
    /// Returns the moment after a whole epoch.
    pub(crate) fn after(epochs: usize) -> Self {
        Self { epochs, batches: 0 }
    }

    fn of(progress: &Progress) -> Self {
        Self { epochs: progress.epoch, batches: progress.part.batches }
    }

    /// Returns `epoch-3`, or `epoch-3+120` in the middle of the fourth epoch.
    fn folder(self) -> String {
        match self.batches {
            0 => format!("epoch-{}", self.epochs),
            batches => format!("epoch-{}+{batches}", self.epochs),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let text = name.strip_prefix("epoch-")?;
        let (epochs, batches) = text.split_once('+').unwrap_or((text, "0"));
        Some(Self { epochs: epochs.parse().ok()?, batches: batches.parse().ok()? })
    }
}

/// The checkpoints of a run. Each is a folder, see [`Moment::folder`], that is renamed into place once it is
/// complete.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
}

const MODEL: &str = "model.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const AVERAGE: &str = "average.bpk";
const PROGRESS: &str = "progress.json";

impl Checkpoints {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, moment: Moment) -> PathBuf {
        self.folder.join(moment.folder())
    }

    /// Returns the file of the weights to evaluate in the checkpoint after an epoch: their average, if there is one.
    ///
    /// # Errors
    /// If a file of the checkpoint is missing or damaged.
    pub(crate) fn evaluated(&self, epoch: usize) -> Result<PathBuf, TrainError> {
        let moment = Moment::after(epoch);
        self.verified(moment).map_err(lost)?;
        let folder = self.path(moment);
        let average = folder.join(AVERAGE);
        Ok(if average.exists() { average } else { folder.join(MODEL) })
    }

    /// Returns the progress of the newest checkpoint that has a progress file.
    pub(crate) fn newest(&self) -> Result<Option<Progress>, TrainError> {
        let mut damaged = None;
        // A process that trains the run replaces its checkpoints meanwhile, so a missing one is looked up
        // again.
        for _ in 0..3 {
            for moment in self.newest_first()? {
                match self.progress(moment) {
                    Ok(Some(progress)) => return Ok(Some(progress)),
                    Ok(None) => {}
                    Err(error) => damaged = damaged.or(Some(error)),
                }
            }
            if damaged.is_some() {
                break;
            }
        }
        damaged.map_or(Ok(None), |error| Err(lost(error)))
    }

    /// Returns the progress of the newest checkpoint whose files are all undamaged. Removes newer, damaged
    /// ones and reports them to `note`.
    ///
    /// # Errors
    /// If there are checkpoints and all of them are damaged.
    pub(crate) fn newest_whole(&self, note: impl Fn(&str)) -> Result<Option<Progress>, TrainError> {
        let mut damaged: Vec<(Moment, TrainError)> = Vec::new();
        for moment in self.newest_first()? {
            match self.verified(moment) {
                Ok(progress) => {
                    for (moment, error) in &damaged {
                        note(&format!("{error}; going on from {} instead", Moment::of(&progress).folder()));
                        self.remove(*moment);
                        let left = self.path(*moment);
                        if left.exists() {
                            // Training would later take it for the state of that moment.
                            let cannot = std::io::Error::other("cannot be removed");
                            return Err(TrainError::write(left)(cannot));
                        }
                    }
                    return Ok(Some(progress));
                }
                Err(error @ TrainError::DamagedCheckpoint { .. }) => damaged.push((moment, error)),
                Err(error) => return Err(error),
            }
        }
        damaged.into_iter().next().map_or(Ok(None), |(_, error)| Err(lost(error)))
    }

    fn newest_first(&self) -> Result<Vec<Moment>, TrainError> {
        let mut moments = self.moments()?;
        moments.sort_by(|a, b| b.cmp(a));
        Ok(moments)
    }

    /// Reads a checkpoint's progress, if the checkpoint exists.
    fn progress(&self, moment: Moment) -> Result<Option<Progress>, TrainError> {
        let path = self.path(moment).join(PROGRESS);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TrainError::read(&path)(error)),
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| TrainError::DamagedCheckpoint { path, problem: error.to_string() })
    }

    /// Reads a checkpoint's progress and checks its other files against their checksums.
    fn verified(&self, moment: Moment) -> Result<Progress, TrainError> {
        let damaged = |name: &str, problem: &str| TrainError::DamagedCheckpoint {
            path: self.path(moment).join(name),
            problem: problem.to_owned(),
        };
        let progress = self.progress(moment)?.ok_or_else(|| damaged(PROGRESS, "it is missing"))?;
        if let Some(Checksums { model, optimizer, average }) = &progress.checksums {
            let average = average.iter().map(|expected| (AVERAGE, expected));
            for (name, expected) in [(MODEL, model), (OPTIMIZER, optimizer)].into_iter().chain(average) {
                let found = match file_sha256(&self.path(moment).join(name)) {
                    Ok(found) => found,
                    Err(DataError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                        return Err(damaged(name, "it is missing"));
                    }
                    // A read error may be temporary, so nothing is removed.
                    Err(error) => return Err(error.into()),
                };
                if found != *expected {
                    return Err(damaged(name, "checksum mismatch"));
                }
            }
        }
        Ok(progress)
    }

    fn moments(&self) -> Result<Vec<Moment>, TrainError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(TrainError::read(&self.folder)(error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| Moment::parse(&name)).collect())
    }

    /// Writes a checkpoint. Then deletes all others except the previous one and the one of epoch `best`.
    pub(crate) fn save(
        &self,
        progress: &Progress,
        best: Option<usize>,
        records: Records,
    ) -> Result<(), TrainError> {
        let unfinished = self.folder.join("unfinished");
        let now = Moment::of(progress);
        let target = self.path(now);
        if target.exists() {
            return Ok(()); // interrupted at the same point before: the same state
        }
        let written: Result<(), TrainError> = (|| {
            let _ = fs::remove_dir_all(&unfinished);
            fs::create_dir_all(&unfinished).map_err(TrainError::write(&unfinished))?;
            let Records { model, optimizer, average } = records;
            let write = |name: &str, bytes: Bytes| write_synced(&unfinished.join(name), &bytes);
            let average = average.map(|average| write(AVERAGE, bytes(average.into_bytes(), &target)?));
            let checksums = Checksums {
                model: write(MODEL, bytes(model.into_bytes(), &target)?)?,
                optimizer: write(OPTIMIZER, bytes(optimizer.into_bytes(), &target)?)?,
                average: average.transpose()?,
            };
            let progress = Progress { checksums: Some(checksums), ..progress.clone() };
            let progress = serde_json::to_vec(&progress).expect("plain numbers");
            write_synced(&unfinished.join(PROGRESS), &progress)?;
            sync_folder(&unfinished).map_err(TrainError::write(&unfinished))?;
            fs::rename(&unfinished, &target).map_err(TrainError::write(&target))?;
            sync_folder(&self.folder).map_err(TrainError::write(&self.folder))?;
            hook::changed();
            Ok(())
        })();
        if written.is_err() {
            let _ = fs::remove_dir_all(&unfinished);
        }
        written?;
        let best = best.map(Moment::after);
        let before = self.newest_first()?.into_iter().find(|moment| *moment < now);
        for moment in self.moments()? {
            if moment != now && Some(moment) != best && Some(moment) != before {
                self.remove(moment);
            }
        }
        Ok(())
    }

    /// Removes a checkpoint. Renames it first, so that a partly deleted one is never read.
    fn remove(&self, moment: Moment) {
        let unfinished = self.folder.join("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        // A failed removal only wastes disk space.
        let _ = fs::rename(self.path(moment), &unfinished);
        hook::changed();
        let _ = fs::remove_dir_all(&unfinished);
        hook::changed();
    }

    /// Loads the records of the checkpoint with this progress.
    pub(crate) fn load(&self, progress: &Progress) -> Result<Records, TrainError> {
        let folder = self.path(Moment::of(progress));
        let average = Some(folder.join(AVERAGE)).filter(|path| path.exists());
        Ok(Records {
            model: load_model(&folder.join(MODEL))?,
            optimizer: record(&folder.join(OPTIMIZER), OptimizerRecord::from_bytes)?,
            average: average.map(|path| load_model(&path)).transpose()?,
        })
    }

    pub(crate) fn delete_all(&self) -> Result<(), TrainError> {
        self.moments()?.into_iter().for_each(|moment| self.remove(moment));
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(TrainError::write(&self.folder)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Returns the error of a run that has no usable checkpoint left.
fn lost(error: TrainError) -> TrainError {
    match error {
        TrainError::DamagedCheckpoint { path, problem } => TrainError::Damaged { path, problem },
        other => other,
    }
}

/// Reads weights.
pub(crate) fn load_model(path: &Path) -> Result<ModuleRecord, TrainError> {
    record(path, ModuleRecord::from_bytes)
}

fn record<R, E: std::fmt::Display>(
    path: &Path,
    parse: impl FnOnce(Bytes) -> Result<R, E>,
) -> Result<R, TrainError> {
    let bytes = fs::read(path).map_err(TrainError::read(path))?;
    parse(Bytes::from_bytes_vec(bytes))
        .map_err(|error| TrainError::Damaged { path: path.to_owned(), problem: error.to_string() })
}

fn bytes<E: std::fmt::Display>(bytes: Result<Bytes, E>, target: &Path) -> Result<Bytes, TrainError> {
    bytes.map_err(|error| TrainError::write(target)(std::io::Error::other(error.to_string())))
}

/// Writes and syncs a file that no reader looks for yet. Returns its SHA-256.
fn write_synced(path: &Path, bytes: &[u8]) -> Result<String, TrainError> {
    let mut file = File::create(path).map_err(TrainError::write(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(TrainError::write(path))?;
    hook::changed();
    Ok(hex(&Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Final weights may be those of an older checkpoint than the one from which training went on.
    #[test]
    fn damaged_weights_are_not_evaluated() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().to_owned());
        let place = folder.path().join("epoch-3");
        fs::create_dir(&place).unwrap();
        let write = |name: &str| write_synced(&place.join(name), name.as_bytes()).unwrap();
        let checksums =
            Checksums { model: write(MODEL), optimizer: write(OPTIMIZER), average: Some(write(AVERAGE)) };
        let progress = Progress { epoch: 3, checksums: Some(checksums), ..Progress::start() };
        fs::write(place.join(PROGRESS), serde_json::to_vec(&progress).unwrap()).unwrap();
        assert_eq!(checkpoints.evaluated(3).unwrap(), place.join(AVERAGE));
        let problem = |checkpoints: &Checkpoints| match checkpoints.evaluated(3) {
            Err(TrainError::Damaged { path, problem }) => (path, problem),
            other => panic!("{other:?}"),
        };
        fs::write(place.join(AVERAGE), "other").unwrap();
        assert_eq!(problem(&checkpoints), (place.join(AVERAGE), "checksum mismatch".to_owned()));
        fs::remove_file(place.join(AVERAGE)).unwrap();
        assert_eq!(problem(&checkpoints), (place.join(AVERAGE), "it is missing".to_owned()));
    }
}
