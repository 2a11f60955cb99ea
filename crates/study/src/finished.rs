//! Finished runs without their weights, in a file: a study goes on with them on another machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use alexnet_data::Dataset;
use alexnet_ops::Implementation;
use alexnet_train::{KeptRun, RESULTS, Run, RunConfig};

use crate::arm::SOURCE;
use crate::study::begun;
use crate::{Study, StudyArm, StudyError};

/// Finished runs, by the names of their folders.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FinishedRuns(BTreeMap<String, KeptRun>);

impl FinishedRuns {
    /// Reads a file with one run a line, as JSON. Leaves out runs of another version of the results, which no study of
    /// this program names.
    ///
    /// # Errors
    /// If the file cannot be read, or a line is not a run.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| StudyError::Read { path: path.to_owned(), source })?;
        let mut runs = BTreeMap::new();
        for (place, line) in text.lines().enumerate() {
            let run: KeptRun = serde_json::from_str(line).map_err(|error| StudyError::Damaged {
                path: path.to_owned(),
                problem: format!("line {} is not a finished run: {error}", place + 1),
            })?;
            if run.results() == Some(RESULTS) {
                runs.insert(run.run.clone(), run);
            }
        }
        Ok(Self(runs))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), StudyError> {
        let line = |run: &KeptRun| serde_json::to_string(run).expect("plain values") + "\n";
        let text: String = self.0.values().map(line).collect();
        alexnet_data::atomic_write(path, text.as_bytes())
            .map_err(|source| StudyError::Write { path: path.to_owned(), source })
    }

    /// Adds the finished runs of a study, whose folders are in `out`.
    ///
    /// # Errors
    /// If the files of a run are damaged.
    pub fn add(&mut self, study: &Study, out: &Path) -> Result<(), StudyError> {
        for (folder, _, _) in study.all_runs() {
            let run = Run::open(&out.join(folder));
            let Ok(run) = run else { continue };
            if let Some(kept) = run.kept().map_err(|error| study.of_run(folder, error))? {
                self.0.insert(folder.to_owned(), kept);
            }
        }
        Ok(())
    }

    /// Returns whether a run of a study is among them.
    pub fn has_some_of(&self, study: &Study) -> bool {
        study.all_runs().any(|(folder, ..)| self.0.contains_key(folder))
    }

    /// Writes the files of those runs of a study that have not begun in `out`. Returns their number. They have no weights, so
    /// a run is left out if another test of it is needed, and a source if a run that begins with it is missing.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn restore(
        &self,
        study: &Study,
        data: &Dataset,
        operations: Implementation,
        out: &Path,
    ) -> Result<usize, StudyError> {
        let mut restored = 0;
        let to_test: BTreeSet<&str> = study
            .arms
            .iter()
            .flat_map(|arm| arm.runs.iter().map(|run| (run, arm.config.evaluation.views)))
            .filter(|(run, views)| self.0.get(*run).is_some_and(|kept| kept.result.test(*views).is_none()))
            .map(|(run, _)| run.as_str())
            .collect();
        let begins = |arm: &&StudyArm| arm.config.initial.weights == SOURCE;
        let is_trained = |run: &String| self.0.contains_key(run) && !to_test.contains(run.as_str());
        let missing =
            |place: usize| study.arms.iter().filter(begins).any(|arm| !is_trained(&arm.runs[place]));
        let sources = study.source.iter().flat_map(|source| source.runs.iter().enumerate());
        let to_begin_with: BTreeSet<&str> =
            sources.filter(|(place, _)| missing(*place)).map(|(_, run)| run.as_str()).collect();
        for (folder, config, seed) in study.all_runs() {
            let Some(kept) = self.0.get(folder) else { continue };
            if to_test.contains(folder) || to_begin_with.contains(folder) {
                continue;
            }
            let run = Run::new(config, seed, operations, data, out);
            restored += usize::from(run.restore(kept, data).map_err(|error| study.of_run(folder, error))?);
        }
        Ok(restored)
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Study {
    /// Returns the folder, the config and the seed of each run.
    fn all_runs(&self) -> impl Iterator<Item = (&str, RunConfig, u64)> {
        let sources = self.source.iter().map(|source| (&source.runs, &source.config));
        let arms = self.arms.iter().map(|arm| (&arm.runs, &arm.config));
        sources.chain(arms).flat_map(|(runs, config)| {
            let of = |(place, (folder, &seed))| {
                let folder: &String = folder;
                (folder.as_str(), begun(config, self.source.as_ref(), place), seed)
            };
            runs.iter().zip(&self.seeds).enumerate().map(of)
        })
    }

    fn of_run(&self, folder: &str, error: alexnet_train::TrainError) -> StudyError {
        StudyError::Train {
            context: format!("ablation `{}`, run {folder}", self.ablation),
            source: Box::new(error),
        }
    }
}
