//! A study: an ablation at a scale, carried out over seeds. `study.json` refers to its runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use alexnet_train::{Data, Environment, Run, RunConfig, RunStatus, TrainError};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::ablation::{Ablation, Claim, Quantity};
use crate::scale::Scale;

/// What a report is made from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Study {
    pub(crate) ablation: String,
    pub(crate) question: String,
    pub(crate) claim: Claim,
    pub(crate) quantity: Quantity,
    pub(crate) delta: f64,
    pub(crate) scale: String,
    pub(crate) data: String,
    pub(crate) checksum: String,
    pub(crate) backend: String,
    pub(crate) code_version: String,
    pub(crate) seeds: Vec<u64>,
    /// The base first.
    pub(crate) arms: Vec<StudyArm>,
}

/// One arm of a study.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StudyArm {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) paper: Option<f64>,
    pub(crate) paper_ratio: Option<f64>,
    pub(crate) expected_sign: i8,
    pub(crate) parameters: usize,
    pub(crate) config: RunConfig,
    /// Why the arm cannot act on these images, if it cannot; it is then not trained.
    pub(crate) not_applicable: Option<String>,
    /// One a seed: its folder's name beside the folder of studies, and what went wrong with it.
    pub(crate) runs: Vec<StudyRun>,
}

/// One run of an arm.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StudyRun {
    pub(crate) seed: u64,
    pub(crate) folder: String,
    pub(crate) failure: Option<String>,
}

impl Study {
    /// The study of an ablation, before anything is trained.
    pub(crate) fn new(
        ablation: &Ablation,
        scale: &Scale,
        configs: Vec<RunConfig>,
        seeds: usize,
        data: &Data,
        environment: &Environment,
        out: &Path,
    ) -> Result<Self> {
        let seeds: Vec<u64> = (0..seeds as u64).collect();
        let arm = |(arm, config): (&crate::ablation::Arm, RunConfig)| -> Result<StudyArm> {
            let trace = config
                .check(&data.dataset)
                .with_context(|| format!("arm `{}` on data set `{}`", arm.name, data.dataset.name))?;
            let run = |&seed: &u64| StudyRun {
                seed,
                folder: folder_name(&Run::new(config.clone(), seed, &data.dataset, out)),
                failure: None,
            };
            Ok(StudyArm {
                name: arm.name.clone(),
                about: arm.about.clone(),
                paper: arm.paper,
                paper_ratio: arm.paper_ratio,
                expected_sign: arm.expected_sign(),
                parameters: trace.parameters(),
                not_applicable: config.inert(data.dataset.channels).map(str::to_owned),
                runs: seeds.iter().map(run).collect(),
                config,
            })
        };
        Ok(Self {
            ablation: ablation.name.clone(),
            question: ablation.question.clone(),
            claim: ablation.claim.clone(),
            quantity: ablation.quantity,
            delta: ablation.delta,
            scale: scale.name.clone(),
            data: data.dataset.name.clone(),
            checksum: data.dataset.checksum.clone(),
            backend: environment.backend.clone(),
            code_version: environment.code_version.clone(),
            arms: ablation.all().zip(configs).map(arm).collect::<Result<_>>()?,
            seeds,
        })
    }

    /// Trains what is missing, `jobs` runs at a time. A run that fails is noted and the others go on.
    ///
    /// Runs share nothing but the processor: every draw has a key of its own, so a run's result does
    /// not depend on what runs beside it.
    ///
    /// # Errors
    /// Only if training was interrupted.
    pub(crate) fn train(
        &mut self,
        data: &Data,
        environment: &Environment,
        out: &Path,
        fresh: bool,
        jobs: usize,
    ) -> Result<()> {
        // Seed by seed, so that an interrupted study has pairs to compare.
        let arms: Vec<usize> =
            (0..self.arms.len()).filter(|&arm| self.arms[arm].not_applicable.is_none()).collect();
        let mut seen = BTreeSet::new();
        let tasks: Vec<(usize, usize)> =
            (0..self.seeds.len()).flat_map(|seed| arms.iter().map(move |&arm| (arm, seed))).collect();
        // Arms that differ in evaluation only share runs, one after the other.
        let (first, later): (Vec<_>, Vec<_>) =
            tasks.iter().partition(|&&(arm, seed)| seen.insert(self.arms[arm].runs[seed].folder.clone()));
        let done = AtomicUsize::new(0);
        let failures = Mutex::new(Vec::new());
        let study = &*self;
        for (tasks, fresh) in [(first, fresh), (later, false)] {
            let queue = Mutex::new(tasks.into_iter());
            let work = |environment: &Environment| -> Result<(), TrainError> {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((arm, seed)) = next else { return Ok(()) };
                    let number = 1 + done.fetch_add(1, Ordering::SeqCst);
                    let number = format!("[{number}/{}]", study.seeds.len() * arms.len());
                    match study.train_one(arm, seed, data, environment, out, fresh, &number) {
                        Err(error @ TrainError::Interrupted { .. }) => return Err(error),
                        Err(error) => failures.lock().unwrap_or_else(PoisonError::into_inner).push((
                            arm,
                            seed,
                            error.to_string(),
                        )),
                        Ok(()) => {}
                    }
                }
            };
            in_parallel(jobs, environment, &work)?;
        }
        for (arm, seed, failure) in failures.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.arms[arm].runs[seed].failure = Some(failure);
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // one call, right above
    fn train_one(
        &self,
        arm: usize,
        seed: usize,
        data: &Data,
        environment: &Environment,
        out: &Path,
        fresh: bool,
        number: &str,
    ) -> Result<(), TrainError> {
        let (arm, seed) = (&self.arms[arm], self.seeds[seed]);
        let label = format!("{number} {} {}, seed {seed}", self.ablation, arm.name);
        let run = Run::new(arm.config.clone(), seed, &data.dataset, out);
        let note = |text: &str| environment.observer.note(&format!("{label}: {text}"));
        let status = if fresh { Ok(RunStatus::New) } else { run.status() };
        let outcome = status.and_then(|status| {
            match status {
                RunStatus::Finished(_) => note("finished before, not trained again"),
                RunStatus::Unfinished(epoch) => note(&format!("goes on after epoch {epoch}")),
                RunStatus::New => {}
            }
            run.complete(data, environment, &label, fresh)
        });
        if let Err(error) = &outcome {
            note(&format!("failed: {error}"));
        }
        outcome.map(|_| ())
    }

    /// The folder of a study's files within `out`.
    pub(crate) fn folder(&self, out: &Path) -> PathBuf {
        out.join("ablations").join(format!("{}-{}", self.ablation, self.scale))
    }
}

fn folder_name(run: &Run) -> String {
    run.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Runs `work` on `jobs` threads, each with its share of the processor; the first has the dashboard.
fn in_parallel(
    jobs: usize,
    environment: &Environment,
    work: &(dyn Fn(&Environment) -> Result<(), TrainError> + Sync),
) -> Result<()> {
    if jobs <= 1 {
        return Ok(work(environment)?);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores / jobs).max(1);
    let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|job| {
                let environment =
                    Environment { dashboard: environment.dashboard && job == 0, ..environment.clone() };
                scope.spawn(move || -> Result<()> {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
                    Ok(pool.install(|| work(&environment))?)
                })
            })
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Result<()>>| {
            worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a training thread failed unexpectedly")))
        };
        workers.into_iter().map(join).collect()
    });
    outcomes.into_iter().collect()
}
