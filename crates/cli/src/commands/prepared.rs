//! A study that is ready to be trained.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use alexnet_data::Upload;
use alexnet_report::{Page, Report, Section};
use alexnet_study::{Clock, Study, Task};
use alexnet_train::{Data, Environment, RunConfig};
use anyhow::{Context, Result};

use super::work::{self, Plan};
use crate::args::ExecutionArgs;
use crate::environment::environment;
use crate::machine::Machine;
use crate::observer::Lines;
use crate::output::note;
use crate::remedies::ANOTHER_STUDY;

/// A study that has passed all checks that are possible before training.
pub(super) struct Prepared {
    pub(super) study: Study,
    data: Data,
    /// The study's folder.
    pub(super) folder: PathBuf,
    pub(super) place: Place,
}

/// The place where a study is trained and kept.
pub(super) struct Place {
    pub(super) machine: Machine,
    pub(super) environment: Environment,
    execution: ExecutionArgs,
    /// The folder of the runs.
    out: PathBuf,
}

impl Place {
    /// Checks that the machine has memory for these configs.
    pub(super) fn new<'a>(
        execution: &ExecutionArgs,
        out: &Path,
        dashboard: bool,
        stop: Arc<AtomicBool>,
        configs: impl IntoIterator<Item = &'a RunConfig>,
    ) -> Result<Self> {
        let machine = Machine::of(&execution.machine)?;
        configs.into_iter().try_for_each(|config| machine.check_fits(config))?;
        let environment =
            environment(&machine, execution.ops, execution.workers, execution.upload, dashboard, stop);
        Ok(Self { machine, environment, execution: execution.clone(), out: out.to_owned() })
    }
}

impl Prepared {
    /// Writes the study into `folder`, after it has taken over the looks of the study that is there.
    pub(super) fn new(mut study: Study, folder: PathBuf, data: Data, place: Place) -> Result<Self> {
        place.machine.check_images(&data.dataset, place.execution.upload)?;
        if place.execution.fresh {
            // A study that cannot be read has nothing to keep.
            if let Ok(earlier) = Study::read(&folder) {
                study.keep_other_looks(&earlier);
            }
        } else if folder.join("study.json").is_file() {
            let earlier = Study::read(&folder).context(ANOTHER_STUDY)?;
            if earlier.checksum != study.checksum {
                note(&format!(
                    "note: the report in {} is of other images, and is replaced",
                    folder.display()
                ));
            }
            study.follow(earlier, &folder)?;
        }
        study.write(&folder)?;
        Ok(Self { study, data, folder, place })
    }

    /// Returns the completed fraction of a task.
    fn done(&self, task: &Task) -> f64 {
        if self.place.execution.fresh { 0.0 } else { self.study.done(task, &self.place.out) }
    }

    /// Returns the number of runs, and of those that have no result yet.
    pub(super) fn runs(&self) -> (usize, usize) {
        let tasks = self.study.tasks();
        (tasks.len(), tasks.iter().filter(|task| self.done(task) < 1.0).count())
    }

    /// Trains the runs that are missing, look by look, `jobs` at a time. Returns the number of failed runs.
    pub(super) fn train(&mut self, jobs: Option<usize>, mixed_versions: bool) -> Result<usize> {
        let jobs = jobs.unwrap_or_else(|| default_jobs(&self.place.machine, &self.study));
        let all = self.study.tasks();
        // Without a design, there is one look, at all seeds.
        let looks = self.study.design.as_ref().map(|design| design.looks.clone());
        let looks: Vec<usize> =
            looks.map_or(vec![self.study.seeds.len()], |looks| looks.iter().map(|look| look.seeds).collect());
        let (pool, mut failed, mut before) = (OnceLock::new(), 0, 0);
        for (number, &seeds) in looks.iter().enumerate() {
            let open = match number {
                0 => None,
                _ => Some(self.report_at(before, mixed_versions).open_arms(&self.study)),
            };
            if open.as_ref().is_some_and(BTreeSet::is_empty) {
                break;
            }
            let wanted = |task: &Task| {
                let open = open.as_ref().is_none_or(|open| task.arms.iter().any(|arm| open.contains(arm)));
                (before..seeds).contains(&task.seed) && (open || task.arms.is_empty())
            };
            let tasks: Vec<usize> = (0..all.len()).filter(|&task| wanted(&all[task])).collect();
            let clock = Arc::new(Clock::start(tasks.iter().map(|&task| (&all[task], self.done(&all[task])))));
            let log = match jobs {
                1 => None,
                _ => Some(work::begin_log(&self.folder, 1)?),
            };
            self.place.environment.observer =
                Arc::new(Lines::new(Some(clock.clone()), self.place.environment.dashboard, log));
            failed += work::train(&Plan {
                study: &self.study,
                tasks,
                folder: &self.folder,
                out: &self.place.out,
                data: &self.data,
                environment: &self.place.environment,
                clock,
                fresh: self.place.execution.fresh,
                jobs,
                pool: &pool,
                arguments: worker_arguments(&self.place.execution, &self.place.machine, &self.study),
            })?;
            before = seeds;
            let look = self.report_at(seeds, mixed_versions);
            if self.study.design.is_some() && look.waits_for_runs(seeds) {
                // A look without these runs would be another look than the planned one.
                note(&format!(
                    "the look at {seeds} seeds waits for runs that failed; the same command trains them again"
                ));
                break;
            }
            let latest = look.look();
            // The runs of a later look are there too: it is told instead.
            let told = latest.seeds != seeds;
            self.study.note_look(latest, &self.folder)?;
            if self.study.design.is_some() && !told {
                self.place.environment.observer.note(&look.progress(number + 1, looks.len(), seeds));
            }
        }
        Ok(failed)
    }

    /// Returns the report after the look at so many seeds. With `--fresh`, runs of later seeds are those that will be trained
    /// again.
    fn report_at(&self, seeds: usize, mixed_versions: bool) -> Report {
        let mut study = self.study.clone();
        if self.place.execution.fresh {
            study.seeds.truncate(seeds);
        }
        Report::of(&study, &self.place.out, mixed_versions)
    }

    /// Writes the report and the page of the study, and returns the report.
    pub(super) fn report(&self, mixed_versions: bool) -> Result<Report> {
        let report = Report::of(&self.study, &self.place.out, mixed_versions);
        report.write(&self.folder)?;
        let section = Section::of(&self.study, report.clone(), &self.place.out)?;
        Page::of(vec![section]).write(&self.folder.join("report"))?;
        Ok(report)
    }
}

/// Returns the arguments with which another process of this program trains as this one does.
pub(super) fn worker_arguments(args: &ExecutionArgs, machine: &Machine, study: &Study) -> Vec<String> {
    let mut words = machine.arguments();
    words.extend(["--ops".to_owned(), args.ops.to_string()]);
    words.extend(["--workers".to_owned(), args.workers.to_string()]);
    if args.upload != Upload::default() {
        words.extend(["--upload".to_owned(), args.upload.to_string()]);
    }
    words.extend(["--study".to_owned(), study.identity()]);
    if let Some(path) = &args.data {
        words.extend(["--data".to_owned(), path.display().to_string()]);
    }
    words
}

/// Returns the default number of jobs. A small network leaves a processor idle between its small operations,
/// so several are trained at once.
fn default_jobs(machine: &Machine, study: &Study) -> usize {
    const SMALL: usize = 5_000_000;
    let small = study.arms.iter().all(|arm| arm.parameters < SMALL);
    match small && machine.is_processor() {
        true => std::thread::available_parallelism().map_or(1, usize::from),
        false => 1,
    }
}
