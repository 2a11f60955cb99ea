use std::fs::{self, File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alexnet_data::{Dataset, Draws, Loader, LoaderConfig, Preprocessing, Statistics, Upload, Views};
use alexnet_weights::{Weights, WeightsError};
use burn::data::dataloader::DataLoader;
use burn::module::Module;
use burn::optim::lr_scheduler::LrSchedulerRecord;
use burn::tensor::Device;
use burn::train::metric::LearningRateMetric;
use burn::train::renderer::MetricsRenderer;
use burn::train::{Learner, SupervisedTraining, TrainingStrategy};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::checkpoint::{Always, Checkpoints, Progress, hand_over, load_model, write_whole};
use crate::classifier::Classifier;
use crate::config::{FinalWeights, RunConfig};
use crate::dashboard::{NoLog, Plain, Speed, TimeLeft};
use crate::evaluate::{Answers, EvaluationResult, Predictions, evaluate, evaluation_loader};
use crate::events::{self, Events};
use crate::memory;
use crate::placement::Placement;
use crate::record::{EpochRow, append, cut_back, read_metrics};
use crate::response::{LrnResponse, responses};
use crate::score::ScoreMetric;
use crate::strategy::{Observer, SharedRate, Stopwatch, Training};
use crate::update::{Elapsed, optimizer};

/// A data set and what is known of its training split.
pub struct Data {
    /// The images.
    pub dataset: Dataset,
    /// Of the training split.
    pub statistics: Statistics,
}

impl Data {
    /// Takes the statistics of the training split.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn new(dataset: Dataset) -> Result<Self, TrainError> {
        let statistics = Statistics::of_training(&dataset)?;
        Ok(Self { dataset, statistics })
    }

    /// What a run sees of it.
    fn of(&self, config: &RunConfig, seed: u64) -> Result<Self, TrainError> {
        let dataset = self.dataset.part(&config.data.classes, config.data.labelled, seed)?;
        Ok(Self { dataset, statistics: self.statistics.clone() })
    }
}

/// Where and how runs are carried out; recorded, but no part of what a run is.
#[derive(Clone)]
pub struct Environment {
    /// The devices, without automatic differentiation.
    pub placement: Placement,
    /// What `--backend` names.
    pub backend: String,
    /// Threads that prepare batches.
    pub workers: usize,
    /// What goes to the device of a training image.
    pub upload: Upload,
    /// Whether to show burn-train's dashboard.
    pub dashboard: bool,
    /// The version of this code.
    pub code_version: String,
    /// Set to stop at the next step.
    pub stop: Arc<AtomicBool>,
    /// Hears what runs do.
    pub observer: Arc<dyn Observer>,
}

const LOCK_ATTEMPTS: usize = 10;

/// What is done to a photograph before the network sees it.
const PREPROCESSING: &str = "preprocessing.json";

/// Why a run could not go on, for people and reports that come later.
const FAILURE: &str = "failure.txt";

/// Keeps the reason why the run in a folder could not go on, until it does. A full disk may refuse that too; the
/// error itself is what counts.
pub fn keep_failure(folder: &Path, why: &str) {
    let _ = fs::create_dir_all(folder).and_then(|()| fs::write(folder.join(FAILURE), format!("{why}\n")));
}

/// Why the run in a folder could not go on when it was last worked on, if it could not.
pub fn failure(folder: &Path) -> Option<String> {
    Some(fs::read_to_string(folder.join(FAILURE)).ok()?.trim_end().to_owned())
}

/// One training: a config, a seed, and a folder named after both and the data.
#[derive(Debug, Clone)]
pub struct Run {
    /// What is trained.
    pub config: RunConfig,
    /// The seed of every draw.
    pub seed: u64,
    /// See [`RunConfig::identity`].
    pub identity: String,
    /// The run folder.
    pub folder: PathBuf,
    /// The file of [`Initial::weights`](crate::Initial), which is read once, when training begins.
    pub begins_with: Option<PathBuf>,
}

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
    /// The backend.
    pub backend: String,
    /// Which form of the operations computed: `fast` or `composed`.
    pub operations: String,
    /// The device, as Burn calls it.
    pub device: String,
    /// The processor's architecture and the widest vector instructions it has.
    pub processor: String,
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

impl Run {
    /// The run of `config` with `seed`, somewhere in `out`.
    pub fn new(config: RunConfig, seed: u64, data: &Dataset, out: &Path) -> Self {
        let identity = config.identity(data, seed);
        let folder = out.join(format!("{}-{}-seed{seed}-{identity}", config.network.name, data.name));
        Self { config, seed, identity, folder, begins_with: None }
    }

    /// The run in an existing folder.
    ///
    /// # Errors
    /// If there is no readable `run.json`.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let record = Self::read(folder)?;
        Ok(Self {
            config: record.config,
            seed: record.seed,
            identity: record.identity,
            folder: folder.to_owned(),
            begins_with: None,
        })
    }

    fn read(folder: &Path) -> Result<RunRecord, TrainError> {
        read_record(&folder.join("run.json"))?.ok_or_else(|| {
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "not a run folder");
            TrainError::read(folder.join("run.json"))(missing)
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn checkpoints(&self) -> Checkpoints {
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

    fn keep_preprocessing(&self, data: &Data) -> Result<(), TrainError> {
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

    /// Trains what is missing and tests the final weights with the config's views. A finished run
    /// with such a test is only read.
    ///
    /// # Errors
    /// If the run cannot go on; what its last checkpoint holds is kept.
    pub fn complete(
        &self,
        data: &Data,
        environment: &Environment,
        label: &str,
        fresh: bool,
    ) -> Result<RunResult, TrainError> {
        self.config.check(&data.dataset)?;
        environment.placement.check(&self.config.network)?;
        let views = self.config.evaluation.views;
        if let (false, RunStatus::Finished(result)) = (fresh, self.status()?)
            && result.test(views).is_some()
        {
            return Ok(result);
        }
        fs::create_dir_all(&self.folder).map_err(TrainError::write(&self.folder))?;
        let _lock = self.lock()?;
        if fresh {
            self.clear()?;
        }
        let _ = fs::remove_file(self.file(FAILURE));
        let data = data.of(&self.config, self.seed)?;
        let outcome = self.complete_locked(&data, environment, label);
        match &outcome {
            Ok(_) | Err(TrainError::Interrupted { .. }) => {}
            Err(error) => keep_failure(&self.folder, &error.to_string()),
        }
        outcome
    }

    fn complete_locked(
        &self,
        data: &Data,
        environment: &Environment,
        label: &str,
    ) -> Result<RunResult, TrainError> {
        let views = self.config.evaluation.views;
        let mut result = match self.status()? {
            RunStatus::Finished(result) => result,
            _ => guarded(|| self.train(data, environment, label))?,
        };
        if result.test(views).is_none() {
            let predictions = self.predictions_on(data, environment, views)?;
            result.tests.push(predictions.result(views));
            self.keep_answers(&predictions, views)?;
            self.write_json("result.json", &result)?;
        }
        Ok(result)
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

    /// The class probabilities that the final weights give the test images.
    ///
    /// # Errors
    /// If the run is not finished or its weights cannot be read.
    pub fn predictions(
        &self,
        data: &Data,
        environment: &Environment,
        views: Views,
    ) -> Result<Predictions, TrainError> {
        let mut data = data.of(&self.config, self.seed)?;
        // Fine-tuned from weights that came with a preparation of their own, which the data know nothing of. What cannot be
        // written down (inputs that reach beyond images) is the data's own.
        if let (false, Some(how)) = (self.config.initial.weights.is_empty(), self.preprocessing()?) {
            let (size, side) = (data.dataset.size, self.config.network.input.size);
            data.statistics = how.for_run(&data.statistics, size, side).0;
        }
        self.predictions_on(&data, environment, views)
    }

    /// As [`predictions`](Self::predictions), on data that are the run's own.
    fn predictions_on(
        &self,
        data: &Data,
        environment: &Environment,
        views: Views,
    ) -> Result<Predictions, TrainError> {
        guarded(|| {
            let model = self.load(&self.weights(), &environment.placement)?;
            self.predict(&model, data, environment, views)
        })
    }

    fn predict(
        &self,
        model: &Classifier,
        data: &Data,
        environment: &Environment,
        views: Views,
    ) -> Result<Predictions, TrainError> {
        let test = data.dataset.test.clone();
        let loader = evaluation_loader(
            &self.config,
            test,
            &data.statistics,
            views,
            environment.placement.first(),
            environment.workers,
        )?;
        evaluate(model, &loader, data.dataset.classes.len())
    }

    /// The lock dies with the process, so a kill never leaves a run locked.
    fn lock(&self) -> Result<File, TrainError> {
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

    fn clear(&self) -> Result<(), TrainError> {
        // The result first: without it, nothing else passes for finished.
        let [centre, ten] = [Views::Centre, Views::Ten].map(Self::answers_file);
        events::files(&self.folder).iter().for_each(|path| drop(fs::remove_file(path)));
        for name in
            ["result.json", "weights.bpk", PREPROCESSING, centre, ten, "metrics.jsonl", "run.json", FAILURE]
        {
            match fs::remove_file(self.file(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(TrainError::write(self.file(name))(error));
                }
                _ => {}
            }
        }
        self.checkpoints().delete_all()
    }

    fn train(&self, data: &Data, environment: &Environment, label: &str) -> Result<RunResult, TrainError> {
        let progress = self.checkpoints().newest()?.unwrap_or_else(Progress::start);
        self.record_session(data, environment, progress.epoch + 1)?;
        let rows = cut_back(&self.file("metrics.jsonl"), progress.epoch)?;
        alexnet_ops::release_memory(); // or the run would be charged with what those before it needed
        memory::forget_peak();
        let progress = match progress.done {
            true => progress,
            false => self.fit(data, environment, label, progress, Events::begin(&self.folder, &rows)?)?,
        };

        let final_epoch = match (self.config.recipe.final_weights, progress.best) {
            (FinalWeights::Best, Some((epoch, _))) => epoch,
            _ => progress.epoch,
        };
        let path = self.checkpoints().model(final_epoch);
        let model = self.load(&path, &environment.placement)?;
        // From here on only the final weights are used, so the test split may be read.
        let begun = std::time::Instant::now();
        let views = self.config.evaluation.views;
        let predictions = self.predict(&model, data, environment, views)?;
        let test = predictions.result(views);
        if !test.loss.is_finite() {
            let (loss, epoch, step) = (test.loss, final_epoch, progress.step);
            let learning_rate = self.metrics()?.last().map_or(0.0, |row| row.learning_rate);
            return Err(TrainError::Diverged { loss, epoch, step, learning_rate });
        }
        let few = evaluation_loader(
            &self.config,
            data.dataset.validation.clone(),
            &data.statistics,
            Views::Centre,
            environment.placement.first(),
            0,
        )?;
        let result = RunResult {
            epochs: progress.epoch,
            steps: progress.step,
            final_epoch,
            parameters: self.config.network.trace()?.parameters(),
            lrn: responses(&model, &few)?,
            tests: vec![test],
            peak_memory_bytes: memory::peak(),
        };
        let learning_rate = self.metrics()?.last().map_or(0.0, |row| row.learning_rate);
        let row = EpochRow {
            epoch: final_epoch,
            step: progress.step,
            split: "test".to_owned(),
            loss: test.loss,
            top1_error: test.top1_error,
            top5_error: test.top5_error,
            learning_rate,
            seconds: begun.elapsed().as_secs_f64(),
        };
        append(&self.file("metrics.jsonl"), std::slice::from_ref(&row))?;
        self.keep_answers(&predictions, views)?;
        Events::begin(&self.folder, &self.metrics()?)?;
        self.keep_preprocessing(data)?;
        write_whole(&self.weights(), &fs::read(&path).map_err(TrainError::read(&path))?)?;
        self.write_json("result.json", &result)?;
        let _ = self.checkpoints().delete_all(); // the result stands without
        Ok(result)
    }

    /// Trains from `start` to the end through burn-train.
    fn fit(
        &self,
        data: &Data,
        environment: &Environment,
        label: &str,
        start: Progress,
        events: Events,
    ) -> Result<Progress, TrainError> {
        let (config, recipe) = (&self.config, &self.config.recipe);
        let placement = environment.placement.autodiff();
        let device = placement.first().clone();
        let train = Loader::new(
            data.dataset.train.clone(),
            &data.statistics,
            LoaderConfig {
                batch_size: recipe.batch_size,
                side: config.network.input.size,
                padding: config.data.augmentation.crop.padding,
                mean: config.data.mean,
                scale: config.data.scale,
                upload: environment.upload,
                draws: Draws::Training { seed: self.seed, augmentation: config.data.augmentation },
                workers: environment.workers,
            },
            device.clone(),
        )?;
        let evaluation = |split| {
            evaluation_loader(
                config,
                split,
                &data.statistics,
                Views::Centre,
                environment.placement.first(),
                environment.workers,
            )
        };
        let valid = evaluation(data.dataset.validation.clone())?;
        let train_evaluated = match recipe.training_error.images {
            0 => None,
            images => Some(evaluation(data.dataset.train.first(images))?),
        };
        let (rate, elapsed) = (SharedRate::default(), Elapsed::default());
        let mut learner = Learner::new(
            match start.step {
                0 => self.begin(placement.towers())?,
                _ => Classifier::new_on(&config.network, self.seed, placement.towers())?,
            },
            optimizer(&config.network, recipe.momentum, recipe.weight_decay, &elapsed),
            rate.clone(),
        );
        if start.step > 0 {
            let (model, optimizer) = self.checkpoints().load(&start)?;
            learner.load_model(model);
            // Burn reads the velocities to `Device::default()` before they come to the run's device.
            let restored = guarded(|| {
                learner.load_optim(optimizer);
                Ok(())
            });
            restored.map_err(|error| match error {
                TrainError::Backend { message } => {
                    TrainError::Restore { path: self.checkpoints().folder().to_owned(), message }
                }
                other => other,
            })?;
        }
        let (model_saver, model_records) = hand_over();
        let (optimizer_saver, optimizer_records) = hand_over();
        let (scheduler_saver, _unused) = hand_over::<LrSchedulerRecord>();
        let outcome = Arc::new(Mutex::new(None));
        let first_epoch = start.epoch;
        let left = TimeLeft::default();
        let strategy = Training {
            label: label.to_owned(),
            recipe: recipe.clone(),
            device,
            placement,
            train: train.clone(),
            train_evaluated,
            rate,
            elapsed,
            start,
            checkpoints: self.checkpoints(),
            model_records,
            optimizer_records,
            metrics: self.file("metrics.jsonl"),
            events,
            left: left.clone(),
            last_checkpoint: Stopwatch::start(),
            observer: environment.observer.clone(),
            stop: environment.stop.clone(),
            outcome: outcome.clone(),
        };
        let metrics = (ScoreMetric::loss(), ScoreMetric::top1_error(), ScoreMetric::top5_error());
        let training = SupervisedTraining::new(&self.folder, as_loader(train), as_loader(valid))
            .metrics(metrics)
            .metric_train_numeric(LearningRateMetric::new())
            .metric_train_numeric(Speed::default())
            .metric_train(left)
            .with_metric_logger(NoLog)
            .with_application_logger(None)
            .with_custom_checkpointers(model_saver, optimizer_saver, scheduler_saver)
            .with_checkpointing_strategy(Always)
            .num_epochs(recipe.epochs)
            .label(label);
        // burn-train takes `checkpoint` for the epoch that the dashboard starts from, but would
        // also load it; our checkpoints are loaded above, so only the dashboard is told.
        let training = match environment.dashboard {
            true => {
                let from = (first_epoch > 0).then_some(first_epoch);
                let renderer =
                    burn::train::renderer::tui::TuiMetricsRendererWrapper::new(training.interrupter(), from);
                training.renderer(Box::new(renderer) as Box<dyn MetricsRenderer>)
            }
            false => training.renderer(Box::new(Plain::new(first_epoch))),
        };
        #[allow(clippy::arc_with_non_send_sync)]
        // burn-train asks for an Arc and stays on this thread
        let strategy = TrainingStrategy::Custom(Arc::new(strategy));
        drop(training.with_training_strategy(strategy).launch(learner));
        let outcome = outcome.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        outcome.unwrap_or_else(|| {
            Err(TrainError::Backend { message: "the training loop did not run".to_owned() })
        })?;
        // The last thing the loop does is to write a checkpoint.
        Ok(self.checkpoints().newest()?.unwrap_or_else(Progress::start))
    }

    /// The classifier before training.
    fn begin(&self, devices: &[Device]) -> Result<Classifier, TrainError> {
        let (network, initial) = (&self.config.network, &self.config.initial);
        if initial.weights.is_empty() {
            return Classifier::new_on(network, self.seed, devices);
        }
        let Some(path) = &self.begins_with else {
            let problem = format!("{} are needed and were not given; add `--from`", initial.weights);
            return Err(TrainError::Config { key: "initial.weights", problem });
        };
        let wrong = |source: WeightsError| TrainError::Initial { path: path.clone(), source };
        let weights = Weights::read(path).map_err(wrong)?;
        Ok(weights.begin(network, &initial.anew, self.seed, devices).map_err(wrong)?.into())
    }

    /// The classifier with the weights of a file.
    fn load(&self, path: &Path, placement: &Placement) -> Result<Classifier, TrainError> {
        let record = load_model(path)?;
        Ok(Classifier::new_on(&self.config.network, self.seed, placement.towers())?.load_record(record))
    }

    fn record_session(
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
            backend: environment.backend.clone(),
            operations: alexnet_ops::implementation().to_string(),
            device: match &environment.placement {
                Placement::Towers(devices) if devices.len() == 1 => format!("{:?}", devices[0]),
                placement => format!("{placement:?}"),
            },
            processor: processor(),
            threads: rayon::current_num_threads(),
            workers: environment.workers,
        };
        if let Some(last) = record.sessions.last() {
            for (what, before, now) in [
                ("code", &last.code_version, &session.code_version),
                ("backend", &last.backend, &session.backend),
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

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), TrainError> {
        let mut text = serde_json::to_vec_pretty(value).expect("plain values");
        text.push(b'\n');
        write_whole(&self.file(name), &text)
    }
}

fn as_loader(loader: Loader) -> Arc<dyn DataLoader<alexnet_data::Batch>> {
    Arc::new(loader)
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

/// Burn and drivers panic where they fail; a run reports it and leaves the others alone.
fn guarded<T>(work: impl FnOnce() -> Result<T, TrainError>) -> Result<T, TrainError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let message = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(TrainError::Backend { message: message.lines().next().unwrap_or_default().to_owned() })
    })
}

/// Results are bit-identical only between processors with the same vector instructions.
fn processor() -> String {
    let level = {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                "avx512f"
            } else if is_x86_feature_detected!("avx2") {
                "avx2"
            } else {
                "sse"
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            "baseline"
        }
    };
    format!("{}-{level}", std::env::consts::ARCH)
}
