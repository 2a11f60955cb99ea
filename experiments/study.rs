//! A study: an ablation at a scale, carried out over seeds. `study.json` refers to its runs.

use std::path::{Path, PathBuf};

use alexnet_train::{Data, Environment, Run, RunConfig, TrainError};
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

    /// Trains what is missing. A run that fails is noted and the others go on.
    ///
    /// # Errors
    /// Only if training was interrupted.
    pub(crate) fn train(
        &mut self,
        data: &Data,
        environment: &Environment,
        out: &Path,
        fresh: bool,
    ) -> Result<(), TrainError> {
        let total = self.arms.iter().filter(|arm| arm.not_applicable.is_none()).count() * self.seeds.len();
        let mut done = 0;
        // Seed by seed, so that an interrupted study has pairs to compare.
        for index in 0..self.seeds.len() {
            for arm in self.arms.iter_mut().filter(|arm| arm.not_applicable.is_none()) {
                done += 1;
                let label =
                    format!("[{done}/{total}] {} {}, seed {}", self.ablation, arm.name, self.seeds[index]);
                let run = Run::new(arm.config.clone(), self.seeds[index], &data.dataset, out);
                // An arm may share its runs with another (views): `--fresh` trains each once.
                let outcome = run.status().and_then(|status| {
                    if let (alexnet_train::RunStatus::Finished(_), false) = (&status, fresh) {
                        environment.observer.note(&format!("{label}: finished before, not trained again"));
                    } else if let (alexnet_train::RunStatus::Unfinished(epoch), false) = (&status, fresh) {
                        environment.observer.note(&format!("{label}: goes on after epoch {epoch}"));
                    }
                    run.complete(data, environment, &label, fresh)
                });
                match outcome {
                    Ok(_) => {}
                    Err(error @ TrainError::Interrupted { .. }) => return Err(error),
                    Err(error) => {
                        environment.observer.note(&format!("{label}: failed: {error}"));
                        arm.runs[index].failure = Some(error.to_string());
                    }
                }
            }
        }
        Ok(())
    }

    /// The folder of a study's files within `out`.
    pub(crate) fn folder(&self, out: &Path) -> PathBuf {
        out.join("ablations").join(format!("{}-{}", self.ablation, self.scale))
    }
}

fn folder_name(run: &Run) -> String {
    run.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
