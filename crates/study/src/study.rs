//! A study: an ablation at a scale over seeds, as a list of tasks. `study.json` is written before training,
//! so that any process on any machine can take a task.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alexnet_data::DataError;
use alexnet_model::Stage;
use alexnet_ops::Key;
use alexnet_train::{Data, Environment, Run, RunConfig};
use serde::{Deserialize, Serialize};

use crate::StudyError;
use crate::ablation::{Ablation, Arm, Claim, Quantity};
use crate::arm::SOURCE;
use crate::design::{Design, Look};
use crate::scale::Scale;
use crate::seeds::Seeds;
use crate::statistics::Verdict;

/// The runs of an ablation and the settings of its report.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// The ablation's name.
    pub ablation: String,
    /// The question of the ablation.
    pub question: String,
    /// The paper's claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The quantity by which arms are compared.
    pub quantity: Quantity,
    /// The largest difference that counts as none, in the quantity's unit.
    pub delta: f64,
    /// The scale's name.
    pub scale: String,
    /// The data set's name.
    pub data: String,
    /// The data set's checksum.
    pub checksum: String,
    /// The backend that trained.
    pub backend: String,
    /// The version of the code.
    pub code_version: String,
    /// The number of images in the training split.
    pub training_images: usize,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The looks fixed in advance, of which the last has all seeds. If absent, there is one look, at the end.
    #[serde(default)]
    pub design: Option<Design>,
    /// The looks that took place: tables with verdicts.
    #[serde(default)]
    pub looks: Vec<Look>,
    /// The looks at comparisons that this study lacks: an earlier command had other arms under the same name. They
    /// count again as soon as a command has the comparison.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<PastLook>,
    /// The source, which is trained before the arms that begin with it.
    #[serde(default)]
    pub source: Option<Source>,
    /// The arms, the base first.
    pub arms: Vec<StudyArm>,
}

/// A look at one comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastLook {
    /// The arm's name.
    pub arm: String,
    /// The folders of the first runs of the arm and of the arm that it is compared with.
    pub runs: [String; 2],
    /// The number of seeds.
    pub seeds: usize,
    /// The verdict.
    pub verdict: Verdict,
}

/// The source that arms begin with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The config.
    pub config: RunConfig,
    /// The number of images in the training split.
    pub training_images: usize,
    /// The folders of its runs, one per seed, next to the folder of studies.
    pub runs: Vec<String>,
}

/// One arm of a study.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyArm {
    /// Its name.
    pub name: String,
    /// A description of one sentence.
    pub about: String,
    /// The paper's figure: this arm's top-1 error minus the base's, in percentage points.
    pub paper: Option<f64>,
    /// The paper's figure: this arm's epochs divided by the base's.
    pub paper_ratio: Option<f64>,
    /// The direction of the paper's claim: 1, −1, or 0 for none.
    pub expected_sign: i8,
    /// The largest difference that counts as none, if it is not the study's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// The number of weights and biases.
    pub parameters: usize,
    /// The index of the arm that it is compared with.
    #[serde(default)]
    pub against: usize,
    /// The arms that it tries together, if they are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<String>,
    /// The arm that it leaves out of those that are tried together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<String>,
    /// The number of images that it learns from; absent: all.
    #[serde(default)]
    pub training_images: Option<usize>,
    /// The config.
    pub config: RunConfig,
    /// The reason why the arm has no effect on these images, if so. It is then not trained.
    pub not_applicable: Option<String>,
    /// The folders of its runs, one per seed, next to the folder of studies.
    pub runs: Vec<String>,
}

/// One run to train. Arms that differ only in evaluation share it. A task without arms is a run of the
/// source.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The run's folder.
    pub folder: String,
    /// Indices in [`Study::arms`].
    pub arms: Vec<usize>,
    /// The index in [`Study::seeds`].
    pub seed: usize,
    /// The label of the task during training.
    pub label: String,
    /// The estimated cost, in a unit that all tasks share: epochs times multiply-adds.
    pub weight: f64,
}

impl Study {
    /// Creates the study of an ablation, before training.
    ///
    /// # Errors
    /// If the config of the source or of an arm does not fit the data.
    pub fn new(
        ablation: &Ablation,
        scale: &Scale,
        source: Option<RunConfig>,
        arms: Vec<(&Arm, RunConfig)>,
        seeds: Seeds,
        data: &Data,
        environment: &Environment,
    ) -> Result<Self, StudyError> {
        let Seeds { first, most, until_decided } = seeds;
        let seeds: Vec<u64> = (first..).take(most).collect();
        let check = |what: &str, config: &RunConfig| {
            config.check(&data.dataset).map_err(|source| StudyError::Train {
                context: format!("{what} on data set `{}`", data.dataset.name),
                source: Box::new(source),
            })
        };
        let learned_from = |config: &RunConfig| -> Result<usize, DataError> {
            Ok(data.dataset.part(&config.data.classes, config.data.labelled, 0)?.train.len())
        };
        let folder = |config: RunConfig, seed: u64| {
            let run = Run::new(config, seed, environment.operations, &data.dataset, Path::new(""));
            run.folder.to_string_lossy().into_owned()
        };
        let source = source.map(|config| -> Result<Source, StudyError> {
            check("source", &config)?;
            let runs = seeds.iter().map(|&seed| folder(config.clone(), seed)).collect();
            Ok(Source { training_images: learned_from(&config)?, runs, config })
        });
        let source = source.transpose()?;
        let names: Vec<&str> = arms.iter().map(|(arm, _)| arm.name.as_str()).collect();
        let arm = |(arm, config): (&Arm, RunConfig)| -> Result<StudyArm, StudyError> {
            let trace = check(&format!("arm `{}`", arm.name), &config)?;
            let run = |(place, &seed): (usize, &u64)| folder(begun(&config, source.as_ref(), place), seed);
            let against =
                arm.against.as_ref().and_then(|against| names.iter().position(|name| name == against));
            Ok(StudyArm {
                name: arm.name.clone(),
                about: arm.about.clone(),
                paper: arm.paper,
                paper_ratio: arm.paper_ratio,
                expected_sign: arm.expected_sign(),
                delta: None,
                parameters: trace.parameters(),
                not_applicable: config.inert(data.dataset.channels).map(str::to_owned),
                against: against.unwrap_or(0),
                together: if arm.like.len() > 1 { arm.like.clone() } else { Vec::new() },
                without: arm.without.clone(),
                training_images: Some(learned_from(&config)?),
                runs: seeds.iter().enumerate().map(run).collect(),
                config,
            })
        };
        let mut study = Self {
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
            arms: arms.into_iter().map(arm).collect::<Result<_, StudyError>>()?,
            source,
            seeds,
            design: None,
            looks: Vec::new(),
            past: Vec::new(),
        };
        study.design = until_decided.then(|| Design::new(most, study.compared()));
        Ok(study)
    }

    /// Returns the number of arms that are compared with another.
    pub fn compared(&self) -> usize {
        self.arms.iter().skip(1).filter(|arm| arm.not_applicable.is_none()).count()
    }

    /// Takes over the looks of an earlier study in the same folder. Those at other comparisons are kept for a later
    /// study that has them.
    ///
    /// # Errors
    /// If either study has a design and the two designs differ, since looks are fixed before the first one.
    pub fn follow(&mut self, earlier: Study, folder: &Path) -> Result<(), StudyError> {
        if let Some(design) = &earlier.design {
            let of = |study: &Study| {
                let claim = |arm: &StudyArm| (arm.against, arm.expected_sign, arm.delta);
                let claims: Vec<_> = study.arms.iter().map(claim).collect();
                (
                    study.identity(),
                    study.design.clone(),
                    study.seeds.clone(),
                    study.delta,
                    study.quantity,
                    claims,
                )
            };
            if of(self) != of(&earlier) {
                return Err(StudyError::DesignFixed {
                    folder: folder.to_owned(),
                    design: design.clone(),
                    own: self.design.clone(),
                });
            }
            (self.looks, self.past) = (earlier.looks, earlier.past);
            return Ok(());
        }
        for look in earlier.past_looks() {
            if self.comparison(&look.arm).as_ref() != Some(&look.runs) {
                self.past.push(look);
                continue;
            }
            let place = self.looks.iter().position(|other| other.seeds == look.seeds).unwrap_or_else(|| {
                self.looks.push(Look { seeds: look.seeds, arms: BTreeMap::new() });
                self.looks.len() - 1
            });
            self.looks[place].arms.insert(look.arm, look.verdict);
        }
        if let (Some(_), Some(look)) = (&self.design, self.looks.last()) {
            return Err(StudyError::LookTaken { folder: folder.to_owned(), seeds: look.seeds });
        }
        Ok(())
    }

    /// Takes over the looks of an earlier study in the same folder at comparisons that this study lacks. The comparisons
    /// that it has start without looks.
    pub fn keep_other_looks(&mut self, earlier: &Study) {
        let mut past = earlier.past_looks();
        past.retain(|look| self.comparison(&look.arm).as_ref() != Some(&look.runs));
        self.past = past;
    }

    /// Returns the first runs of an arm and of the arm that it is compared with. Two comparisons are the same if these
    /// are.
    fn comparison(&self, name: &str) -> Option<[String; 2]> {
        let arm = self.arms.iter().find(|arm| arm.name == name)?;
        Some([arm.runs.first()?.clone(), self.arms[arm.against].runs.first()?.clone()])
    }

    /// Returns all looks that took place, with their comparisons, the oldest first.
    fn past_looks(&self) -> Vec<PastLook> {
        let mut past = self.past.clone();
        for look in &self.looks {
            past.extend(look.arms.iter().filter_map(|(arm, &verdict)| {
                let runs = self.comparison(arm)?;
                Some(PastLook { arm: arm.clone(), runs, seeds: look.seeds, verdict })
            }));
        }
        past
    }

    /// Records in `study.json`, in the study's folder, that a table was made.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn note_look(&mut self, look: Look, folder: &Path) -> Result<(), StudyError> {
        if look.arms.is_empty() || self.looks.contains(&look) {
            return Ok(());
        }
        // The study may have been restarted with more seeds since it was read.
        let now = Self::read(folder)?;
        if now.identity() != self.identity() || now.design != self.design {
            return Ok(());
        }
        (self.looks, self.past) = (now.looks, now.past);
        // A later table of the same seeds replaces the earlier one.
        self.looks.retain(|other| other.seeds != look.seeds);
        self.looks.push(look);
        self.write(folder)
    }

    /// Returns the folder of a study's files, in `out`.
    pub fn folder(out: &Path, ablation: &str, scale: &str) -> PathBuf {
        out.join("ablations").join(format!("{ablation}-{scale}"))
    }

    /// Writes `study.json` into the study's folder.
    ///
    /// # Errors
    /// If the folder cannot be created or the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), StudyError> {
        let path = folder.join("study.json");
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(folder)?;
            // The file is replaced atomically, because another process may be reading it.
            alexnet_data::atomic_write(&path, &serde_json::to_vec_pretty(self)?)
        };
        write().map_err(|source| StudyError::Write { path, source })
    }

    /// Reads the study in a folder.
    ///
    /// # Errors
    /// If the folder has no `study.json`, or that file is damaged.
    pub fn read(folder: &Path) -> Result<Self, StudyError> {
        let path = folder.join("study.json");
        let damaged = |problem: String| StudyError::Damaged { path: path.clone(), problem };
        let text = std::fs::read_to_string(&path)
            .map_err(|source| StudyError::Read { path: path.clone(), source })?;
        let study: Self = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        let other = |runs: &[String]| runs.len() != study.seeds.len();
        let arms = &study.arms;
        if arms.is_empty()
            || arms.iter().any(|arm| other(&arm.runs) || arm.against >= arms.len())
            || study
                .design
                .iter()
                .any(|design| design.looks.last().is_none_or(|last| last.seeds != study.seeds.len()))
            || study.source.iter().any(|source| other(&source.runs))
        {
            return Err(damaged("every arm has a run a seed, and there is at least the base".to_owned()));
        }
        Ok(study)
    }

    /// Returns whether this program, with these options, produces the runs that the study names.
    pub fn is_of_this_program(&self, data: &Data, environment: &Environment) -> bool {
        let Some(run) = self.arms[0].runs.first() else { return true };
        let config = begun(&self.arms[0].config, self.source.as_ref(), 0);
        let identity = config.identity(&data.dataset, self.seeds[0], environment.operations);
        run.ends_with(&format!("-{identity}"))
    }

    /// Identifies a study among studies of the same name: a hash of its runs in task order.
    pub fn identity(&self) -> String {
        let runs = self.source.iter().flat_map(|source| &source.runs);
        let runs = runs.chain(self.arms.iter().flat_map(|arm| &arm.runs));
        let folders: Vec<&str> = runs.map(String::as_str).collect();
        format!("{:016x}", Key::word(&folders.join("\n")))
    }

    /// Returns the tasks of the study. They are ordered by seed, so that an interrupted study has pairs to
    /// compare.
    pub fn tasks(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut places = BTreeMap::new();
        let weight = |config: &RunConfig, images: usize| {
            let multiply_adds = config.network.trace().map_or(1, |trace| trace.multiply_adds());
            config.recipe.epochs as f64 * multiply_adds as f64 * images as f64
        };
        for (seed, number) in self.seeds.iter().enumerate() {
            if let Some(source) = &self.source {
                tasks.push(Task {
                    folder: source.runs[seed].clone(),
                    arms: Vec::new(),
                    seed,
                    label: format!("{} source, seed {number}", self.ablation),
                    weight: weight(&source.config, source.training_images),
                });
            }
            for (index, arm) in self.arms.iter().enumerate().filter(|(_, arm)| arm.not_applicable.is_none()) {
                let folder = &arm.runs[seed];
                let place = *places.entry(folder).or_insert_with(|| {
                    let label = format!("{} {}, seed {number}", self.ablation, arm.name);
                    let weight = weight(&arm.config, self.learned_from(arm));
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

    /// Returns the largest difference of an arm that counts as none, in the quantity's unit.
    pub fn delta_of(&self, arm: &StudyArm) -> f64 {
        arm.delta.unwrap_or(self.delta)
    }

    /// Returns whether arms differ in their LRN layers.
    pub fn varies_lrn(&self) -> bool {
        let stages = |arm: &StudyArm| -> Vec<(String, Stage)> {
            let convs = arm.config.network.conv.iter();
            let all = convs.flat_map(|conv| conv.stages.iter().map(|stage| (conv.name.clone(), *stage)));
            all.filter(|(_, stage)| matches!(stage, Stage::Lrn(_))).collect()
        };
        let first = stages(&self.arms[0]);
        self.arms.iter().any(|arm| stages(arm) != first)
    }

    /// Returns the number of images that an arm learns from.
    pub fn learned_from(&self, arm: &StudyArm) -> usize {
        arm.training_images.unwrap_or(self.training_images)
    }
}

/// Returns a config with `source` resolved to the identity of the source's run with this seed.
pub(crate) fn begun(config: &RunConfig, source: Option<&Source>, seed: usize) -> RunConfig {
    let mut config = config.clone();
    if let Some(source) = source.filter(|_| config.initial.weights == SOURCE) {
        // A folder's name ends with the run's identity.
        config.initial.weights = source.runs[seed].rsplit('-').next().unwrap_or_default().to_owned();
    }
    config
}
