//! A study: an ablation at a scale over seeds, as a list of tasks. `study.json` is written before anything
//! is trained, so that any process, on any machine, can take a task of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alexnet_ops::Key;
use alexnet_train::{Data, Environment, Run, RunConfig, RunStatus, TrainError};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::ablation::{Ablation, Arm, Claim, Quantity};
use crate::scale::Scale;

/// What the runs of an ablation are, and what a report is made from.
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
    pub(crate) training_images: usize,
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
    /// The folders of its runs, one a seed, beside the folder of studies.
    pub(crate) runs: Vec<String>,
}

/// One run to train. Arms that differ in evaluation only share it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    /// The run's folder.
    pub(crate) folder: String,
    /// Places in [`Study::arms`].
    pub(crate) arms: Vec<usize>,
    /// Place in [`Study::seeds`].
    pub(crate) seed: usize,
    /// What it is called while it is trained.
    pub(crate) label: String,
    /// How long it takes, in a unit that all tasks share: epochs times multiply-adds.
    pub(crate) weight: f64,
}

impl Study {
    /// The study of an ablation, before anything is trained.
    pub(crate) fn new(
        ablation: &Ablation,
        scale: &Scale,
        arms: Vec<(&Arm, RunConfig)>,
        seeds: usize,
        data: &Data,
        environment: &Environment,
    ) -> Result<Self> {
        let seeds: Vec<u64> = (0..seeds as u64).collect();
        let arm = |(arm, config): (&Arm, RunConfig)| -> Result<StudyArm> {
            let trace = config
                .check(&data.dataset)
                .with_context(|| format!("arm `{}` on data set `{}`", arm.name, data.dataset.name))?;
            let run = |&seed: &u64| {
                let run = Run::new(config.clone(), seed, &data.dataset, Path::new(""));
                run.folder.to_string_lossy().into_owned()
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
            training_images: data.dataset.train.len(),
            arms: arms.into_iter().map(arm).collect::<Result<_>>()?,
            seeds,
        })
    }

    /// Where the files of a study lie, in `out`.
    pub(crate) fn folder(out: &Path, ablation: &str, scale: &str) -> PathBuf {
        out.join("ablations").join(format!("{ablation}-{scale}"))
    }

    /// Writes `study.json` into the study's folder in `out`, which it returns.
    pub(crate) fn write(&self, out: &Path) -> Result<PathBuf> {
        let folder = Self::folder(out, &self.ablation, &self.scale);
        let path = folder.join("study.json");
        let cannot = || format!("cannot write {}", path.display());
        std::fs::create_dir_all(&folder).with_context(cannot)?;
        // By a rename: another process may be reading it.
        alexnet_data::write_whole(&path, &serde_json::to_vec_pretty(self)?).with_context(cannot)?;
        Ok(folder)
    }

    /// Reads the study in a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("study.json");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("cannot read {}; give the folder of an ablation, `runs/ablations/…`", path.display())
        })?;
        let study: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
        if study.arms.is_empty() || study.arms.iter().any(|arm| arm.runs.len() != study.seeds.len()) {
            bail!(
                "{} is damaged: every arm has a run a seed, and there is at least the base",
                path.display()
            );
        }
        Ok(study)
    }

    /// What tells this study from another of the same name: its runs, and in which order they are tasks.
    pub(crate) fn identity(&self) -> String {
        let folders: Vec<&str> = self.arms.iter().flat_map(|arm| &arm.runs).map(String::as_str).collect();
        format!("{:016x}", Key::word(&folders.join("\n")))
    }

    /// What is to be trained: seed by seed, so that an interrupted study has pairs to compare.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut places = BTreeMap::new();
        for (seed, number) in self.seeds.iter().enumerate() {
            for (index, arm) in self.arms.iter().enumerate().filter(|(_, arm)| arm.not_applicable.is_none()) {
                let folder = &arm.runs[seed];
                let place = *places.entry(folder).or_insert_with(|| {
                    let label = format!("{} {}, seed {number}", self.ablation, arm.name);
                    let multiply_adds = arm.config.network.trace().map_or(1, |trace| trace.multiply_adds());
                    let weight = (arm.config.recipe.epochs * multiply_adds) as f64;
                    tasks.push(Task { folder: folder.clone(), arms: Vec::new(), seed, label, weight });
                    tasks.len() - 1
                });
                tasks[place].arms.push(index);
            }
        }
        let all = tasks.len();
        for (index, task) in tasks.iter_mut().enumerate() {
            task.label = format!("[{}/{all}] {}", index + 1, task.label);
        }
        tasks
    }

    /// How much of a task's training is done.
    pub(crate) fn done(&self, task: &Task, out: &Path) -> f64 {
        let Some(arm) = task.arms.first().map(|&arm| &self.arms[arm]) else { return 1.0 };
        let Ok(run) = Run::open(&out.join(&task.folder)) else { return 0.0 };
        let recipe = &arm.config.recipe;
        match (run.status(), run.checkpoint()) {
            (Ok(RunStatus::Finished(_)), _) => 1.0,
            (Ok(RunStatus::Unfinished(_)), Ok(Some((_, step)))) => {
                let steps = recipe.epochs * self.training_images.div_ceil(recipe.batch_size);
                step as f64 / steps.max(1) as f64
            }
            _ => 0.0,
        }
    }

    /// Trains what is missing of a task's run, and tests it as each of its arms asks.
    ///
    /// # Errors
    /// If the run cannot go on; what its last checkpoint holds is kept.
    pub(crate) fn train(
        &self,
        task: &Task,
        data: &Data,
        environment: &Environment,
        out: &Path,
        fresh: bool,
    ) -> Result<(), TrainError> {
        let note = |text: &str| environment.observer.note(&format!("{}: {text}", task.label));
        for (number, &arm) in task.arms.iter().enumerate() {
            let fresh = fresh && number == 0;
            let run = Run::new(self.arms[arm].config.clone(), self.seeds[task.seed], &data.dataset, out);
            let status = if fresh { RunStatus::New } else { run.status()? };
            match status {
                RunStatus::Finished(_) if number == 0 => note("finished before, not trained again"),
                RunStatus::Unfinished(epoch) => note(&format!("goes on after epoch {epoch}")),
                _ => {}
            }
            run.complete(data, environment, &task.label, fresh)?;
        }
        Ok(())
    }
}
