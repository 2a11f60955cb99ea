//! Runs from the library: training, exact resume, damaged checkpoints, identity.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use alexnet_data::{Dataset, Manifest, Views};
use alexnet_model::{Activation, BatchNormalization, GroupNormalization, InitialWeights, Preset, Stage};
use alexnet_ops::{Backend, Implementation};

use super::{Run, RunStatus};
use crate::{
    Advance, Data, Environment, EpochRow, FinalWeights, Mixing, Observer, OptimizerConfig, RunConfig,
    Schedule, TrainError, Training, TrainingError,
};

const CONFIG: &str = r#"
[data]
set = "tiny"
mean = "image"
scale = "0-255"

[data.augmentation]
crop = { random = true, padding = 1 }
flip = 0.5
shared_by = 1
colour = { std = 0.0, reading = "standard-deviation", rescale = true }

[recipe]
epochs = 3
batch_size = 8
learning_rate = 0.001
momentum = 0.9
weight_decay = 0.0005
schedule = { plateau = { divide_by = 10.0, patience = 1, improvement = 0.0, drops = 2, minimum = 1e-6 } }
warmup_steps = 2
final_weights = "last"
training_error = { images = 8, stop_at = 0.0 }

[evaluation]
views = "ten"
"#;

/// Steps of a run: 30 of 40 images train, in batches of 8, for three epochs.
const STEPS: usize = 12;

/// The `mini` network with batch normalization, so that a checkpoint also has running averages.
fn config() -> RunConfig {
    let mut network = Preset::load("mini").unwrap();
    let normalization = BatchNormalization { epsilon: 1e-5, momentum: 0.1 };
    network.conv[2].stages.insert(0, Stage::BatchNorm(normalization));
    let mut config: toml::Table = toml::from_str(CONFIG).unwrap();
    config.insert("network".to_owned(), toml::Value::try_from(network).unwrap());
    config.try_into().unwrap()
}

/// Ten classes of patterns, in the files of MNIST.
fn data(folder: &Path) -> Data {
    for (prefix, count) in [("train", 40), ("t10k", 20)] {
        let labels: Vec<u8> = (0..count).map(|index| (index % 10) as u8).collect();
        let pixel = |index: usize, at: usize| ((at * (1 + index % 10) + index * 7) % 251) as u8;
        let pixels = (0..count).flat_map(|index| (0..784).map(move |at| pixel(index, at)));
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let images: Vec<u8> = words(&[0x803, count as u32, 28, 28]).into_iter().chain(pixels).collect();
        fs::write(folder.join(format!("{prefix}-images-idx3-ubyte")), images).unwrap();
        let labels = [words(&[0x801, count as u32]), labels].concat();
        fs::write(folder.join(format!("{prefix}-labels-idx1-ubyte")), labels).unwrap();
    }
    Data::new(Dataset::open(&toml::from_str(MANIFEST).unwrap(), folder).unwrap()).unwrap()
}

const MANIFEST: &str = r#"
name = "tiny"
about = "made for a test"
origin = "made for a test"
licence = "none"
layout = "idx"
classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
channels = 1
size = 28
"#;

/// Sets the stop flag after some steps, and counts steps and epochs.
struct Stops {
    after: usize,
    stop: Arc<AtomicBool>,
    steps: AtomicUsize,
    epochs: AtomicUsize,
}

impl Observer for Stops {
    fn progress(&self, _: &str, _: f64) -> Option<Duration> {
        if self.steps.fetch_add(1, Ordering::SeqCst) + 1 == self.after {
            self.stop.store(true, Ordering::SeqCst);
        }
        None
    }

    fn epoch(&self, _: &str, _: &[EpochRow]) {
        self.epochs.fetch_add(1, Ordering::SeqCst);
    }

    fn note(&self, _: &str) {}
}

/// Returns an environment that stops after `after` steps, or never with 0, and its observer.
fn stopping(after: usize) -> (Environment, Arc<Stops>) {
    let stop = Arc::new(AtomicBool::new(false));
    let observer = Arc::new(Stops { after, stop: stop.clone(), steps: 0.into(), epochs: 0.into() });
    let backend = Backend::in_this_build().remove(0);
    let environment = Environment { stop, observer: observer.clone(), ..Environment::on(backend).unwrap() };
    (environment, observer)
}

fn run(data: &Data, out: &Path) -> Run {
    Run::new(config(), 3, Implementation::Fast, &data.dataset, out)
}

/// What must not depend on interruptions: the weights, the rows without their times, the predictions.
fn outcome(run: &Run) -> (Vec<u8>, Vec<EpochRow>, Vec<u8>) {
    let mut rows = run.metrics().unwrap();
    rows.iter_mut().for_each(|row| row.seconds = 0.0);
    let answers = fs::read(run.folder.join("answers-ten.json")).unwrap();
    (fs::read(run.weights()).unwrap(), rows, answers)
}

#[test]
fn a_run_that_is_stopped_anywhere_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let whole = run(&data, &folder.path().join("whole"));
    let (environment, observer) = stopping(0);
    let result = whole.complete(&data, &environment, "", false).unwrap();
    assert_eq!((result.epochs, result.steps, result.tests[0].images), (3, STEPS, 20));
    assert_eq!(observer.steps.load(Ordering::SeqCst), STEPS);
    for after in [1, 4, 6, 8, 11] {
        let stopped = run(&data, &folder.path().join(format!("after-{after}")));
        let (environment, _) = stopping(after);
        let error = stopped.complete(&data, &environment, "", false).unwrap_err();
        assert!(matches!(error, TrainError::Interrupted { step, .. } if step == after), "{error}");
        let (environment, observer) = stopping(0);
        stopped.complete(&data, &environment, "", false).unwrap();
        assert_eq!(observer.steps.load(Ordering::SeqCst), STEPS - after, "steps are not repeated");
        assert_eq!(outcome(&stopped), outcome(&whole), "stopped after {after} steps");
    }
}

#[test]
fn a_run_with_later_ideas_that_is_stopped_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let ideas: [&dyn Fn(&mut RunConfig); 4] = [
        &|config| {
            config.recipe.optimizer = OptimizerConfig::Adam(toml::from_str("").unwrap());
            config.recipe.mixing = Mixing::Cutmix(1.0);
            config.network.initial_weights = InitialWeights::KaimingUniform;
        },
        &|config| {
            config.recipe.optimizer = OptimizerConfig::RmsProp { smoothing: 0.99, epsilon: 1e-8 };
            config.recipe.average_weights = 0.9;
            config.network.activation = Activation::Gelu;
        },
        &|config| {
            config.recipe.optimizer = OptimizerConfig::Sgd { nesterov: true };
            (config.recipe.clip_gradients, config.recipe.label_smoothing) = (0.5, 0.1);
            config.recipe.mixing = Mixing::Mixup(0.2);
            config.network.conv[2].stages[0] =
                Stage::GroupNorm(GroupNormalization { groups: 2, epsilon: 1e-5 });
        },
        &|config| {
            config.recipe.optimizer = OptimizerConfig::AdamW(toml::from_str("").unwrap());
            (config.recipe.average_weights, config.recipe.final_weights) = (0.9, FinalWeights::Best);
            config.network.conv[3].residual = true;
            config.network.conv[3].activation = Some(Activation::Elu(1.0));
        },
    ];
    for (idea, change) in ideas.into_iter().enumerate() {
        let run = |out: &str| {
            let mut config = config();
            change(&mut config);
            let out = folder.path().join(format!("{idea}-{out}"));
            Run::new(config, 3, Implementation::Fast, &data.dataset, &out)
        };
        let whole = run("whole");
        whole.complete(&data, &stopping(0).0, "", false).unwrap();
        for after in [1, 6] {
            let stopped = run(&format!("after-{after}"));
            stopped.complete(&data, &stopping(after).0, "", false).unwrap_err();
            stopped.complete(&data, &stopping(0).0, "", false).unwrap();
            assert_eq!(outcome(&stopped), outcome(&whole), "idea {idea}, stopped after {after} steps");
        }
    }
}

#[test]
fn training_errors_every_few_steps_are_the_same_after_a_stop_and_end_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let run = |out: &str, stop_at: f64| {
        let mut config = config();
        (config.recipe.training_error.every_steps, config.recipe.training_error.stop_at) = (2, stop_at);
        Run::new(config, 3, Implementation::Fast, &data.dataset, &folder.path().join(out))
    };
    let whole = run("whole", 0.0);
    whole.complete(&data, &stopping(0).0, "", false).unwrap();
    let rows = whole.metrics().unwrap();
    let steps = rows.iter().filter(|row| row.split == "train-evaluated").map(|row| row.step);
    assert_eq!(steps.collect::<Vec<_>>(), [2, 4, 6, 8, 10, 12]);
    // After an even number of steps, the pass itself is interrupted.
    for after in [1, 2, 3, 4, 6, 7] {
        let stopped = run(&format!("after-{after}"), 0.0);
        stopped.complete(&data, &stopping(after).0, "", false).unwrap_err();
        stopped.complete(&data, &stopping(0).0, "", false).unwrap();
        assert_eq!(outcome(&stopped), outcome(&whole), "stopped after {after} steps");
    }
    let ended = run("ended", 1.0).complete(&data, &stopping(0).0, "", false).unwrap();
    assert_eq!((ended.epochs, ended.steps), (1, 2), "the first pass is at the target");
}

#[test]
fn training_ends_early_where_validation_errors_do_not_fall_and_resumes_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let run = |out: &str, early_stopping: usize| {
        let mut config = config();
        config.recipe.early_stopping = early_stopping;
        config.recipe.epochs = 6;
        // Weights that do not move: the first epoch stays the best.
        config.recipe.learning_rate = 0.0;
        config.network.conv[2].stages.retain(|stage| !matches!(stage, Stage::BatchNorm(_)));
        Run::new(config, 3, Implementation::Fast, &data.dataset, &folder.path().join(out))
    };
    let never = run("never", 0).complete(&data, &stopping(0).0, "", false).unwrap();
    assert_eq!(never.epochs, 6);
    let early = run("early", 2);
    assert_eq!(
        early.complete(&data, &stopping(0).0, "", false).unwrap().epochs,
        3,
        "two epochs without a lower error"
    );
    let stopped = run("stopped", 2);
    stopped.complete(&data, &stopping(7).0, "", false).unwrap_err();
    stopped.complete(&data, &stopping(0).0, "", false).unwrap();
    assert_eq!(outcome(&stopped), outcome(&early));
    assert_ne!(run("early", 0).identity, early.identity, "another run");
}

#[test]
fn a_rate_range_is_tested_from_the_initial_weights() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let range = crate::RateRange { from: 1e-4, to: 10.0, steps: 12 };
    let mut heard = 0;
    let test = |heard: &mut usize, environment: &Environment| {
        range.test(&config(), &data, environment, 0, &mut |step, _| {
            assert_eq!(step, *heard);
            *heard += 1;
        })
    };
    let points = test(&mut heard, &stopping(0).0).unwrap();
    assert_eq!(points.len(), heard);
    assert!(heard >= 4 && points.windows(2).all(|pair| pair[1].rate > pair[0].rate), "{points:?}");
    assert_eq!(points[0].loss, points[0].smoothed);
    assert_eq!(test(&mut 0, &stopping(0).0).unwrap(), points, "the same seed, the same losses");
    let environment = stopping(0).0;
    environment.stop.store(true, Ordering::SeqCst);
    assert!(test(&mut 0, &environment).unwrap_err().is_interruption());
}

#[test]
fn a_finished_run_is_read_and_not_trained() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let run = run(&data, folder.path());
    let result = run.complete(&data, &stopping(0).0, "", false).unwrap();
    let (environment, observer) = stopping(1);
    assert_eq!(run.complete(&data, &environment, "", false).unwrap(), result);
    assert_eq!(observer.steps.load(Ordering::SeqCst), 0);
    let predictions = run.predictions(&data, &environment, Views::Ten);
    assert_eq!(predictions.unwrap().result(Views::Ten), result.tests[0]);
    assert!(matches!(run.status().unwrap(), RunStatus::Finished(_)));
    let (environment, observer) = stopping(0);
    run.complete(&data, &environment, "", true).unwrap();
    assert_eq!(observer.steps.load(Ordering::SeqCst), STEPS, "fresh");
}

/// Returns the checkpoints of a run, the newest last.
fn checkpoints(run: &Run) -> Vec<PathBuf> {
    let folders = fs::read_dir(run.folder.join("checkpoints")).unwrap();
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).collect();
    folders.sort_by_key(|folder| fs::metadata(folder).unwrap().modified().unwrap());
    folders
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let whole = run(&data, &folder.path().join("whole"));
    whole.complete(&data, &stopping(0).0, "", false).unwrap();
    let damaged = run(&data, &folder.path().join("damaged"));
    damaged.complete(&data, &stopping(10).0, "", false).unwrap_err();
    let checkpoints = checkpoints(&damaged);
    assert_eq!(checkpoints.len(), 2, "the newest and the one before it");
    let newest = checkpoints.last().unwrap();
    for file in fs::read_dir(newest).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|ending| ending == "bpk") {
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&file, bytes).unwrap();
        }
    }
    let (environment, observer) = stopping(0);
    damaged.complete(&data, &environment, "", false).unwrap();
    assert_eq!(observer.steps.load(Ordering::SeqCst), STEPS - 8, "from the end of the second epoch");
    assert_eq!(outcome(&damaged), outcome(&whole));
}

#[test]
fn a_training_in_memory_has_the_scores_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let files = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"];
    let files = files.map(|name| fs::read(folder.path().join(format!("{name}-ubyte"))).unwrap());
    let manifest: Manifest = toml::from_str(MANIFEST).unwrap();
    let in_memory = Data::new(Dataset::of_idx_files(&manifest, files).unwrap()).unwrap();
    assert_eq!(in_memory.dataset.checksum, data.dataset.checksum);
    let ideas: [&dyn Fn(&mut RunConfig); 3] = [
        &|_| (),
        &|config| {
            (config.recipe.average_weights, config.recipe.clip_gradients) = (0.9, 0.5);
            config.recipe.training_error.every_steps = 3;
        },
        // Every error is at or below it, so training ends at the first pass, in mid-epoch.
        &|config| (config.recipe.training_error.every_steps, config.recipe.training_error.stop_at) = (2, 1.0),
    ];
    for (idea, change) in ideas.into_iter().enumerate() {
        let mut config = config();
        change(&mut config);
        config.evaluation.views = Views::Centre;
        let run = Run::new(config.clone(), 3, Implementation::Fast, &data.dataset, folder.path());
        let (environment, _) = stopping(0);
        run.complete(&data, &environment, "", false).unwrap();
        let mut training = Training::new(&config, &in_memory, &environment, 3).unwrap();
        let mut found = Vec::new();
        // Pieces of one, two and three steps.
        for piece in (1..=3).cycle() {
            let Advance { passes, .. } = training.advance(piece).unwrap();
            found.extend(passes.iter().map(|it| (it.split, it.step, it.score.loss().to_bits())));
            if training.is_done() {
                break;
            }
        }
        let (_, step, _) = *found.last().unwrap();
        found.push(("test", step, training.test().unwrap().loss.to_bits()));
        let rows = run.metrics().unwrap();
        let mut expected: Vec<_> =
            rows.iter().map(|row| (row.split.as_str(), row.step, row.loss.to_bits())).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "idea {idea}");
    }
}

#[test]
fn the_identity_is_of_what_changes_results_and_of_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let identity = |change: &dyn Fn(&mut RunConfig), seed, form| {
        let mut config = config();
        change(&mut config);
        config.identity(&data.dataset, seed, form)
    };
    let same = |_: &mut RunConfig| ();
    let ours = identity(&same, 3, Implementation::Fast);
    assert_eq!(ours, run(&data, folder.path()).identity);
    assert_ne!(ours, identity(&same, 4, Implementation::Fast));
    assert_ne!(ours, identity(&same, 3, Implementation::Composed));
    assert_ne!(ours, identity(&|config| config.recipe.momentum = 0.8, 3, Implementation::Fast));
    assert_ne!(ours, identity(&|config| config.network.conv[0].bias = 1.0, 3, Implementation::Fast));
    // The views of the test come after training: another test is added to the same run.
    assert_eq!(ours, identity(&|config| config.evaluation.views = Views::Centre, 3, Implementation::Fast));
}

#[test]
fn numbers_that_are_none_end_a_run_before_they_reach_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let mut config = config();
    (config.recipe.learning_rate, config.recipe.warmup_steps) = (1e20, 0);
    let run = Run::new(config, 0, Implementation::Fast, &data.dataset, folder.path());
    let error = run.complete(&data, &stopping(0).0, "", false).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { .. } | TrainError::Gradient { .. }), "{error}");
    let kept = crate::Failure::read(&run.folder).unwrap();
    assert_eq!(kept, crate::Failure::of(&error));
    assert!(kept.diverged && !kept.why.contains('\n'), "{kept:?}");
    assert!(!run.weights().exists());
    // Another failure may be mended.
    let full = crate::Failure::new("the disk is full");
    full.keep(&run.folder);
    assert_eq!(crate::Failure::read(&run.folder), Some(full));
}

#[test]
fn settings_that_would_be_ignored_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(folder.path());
    let refused = |change: fn(&mut RunConfig), expected: &str| {
        let mut config = config();
        change(&mut config);
        let run = Run::new(config, 0, Implementation::Fast, &data.dataset, folder.path());
        let error = run.complete(&data, &stopping(0).0, "", false).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let cycle = |config: &mut RunConfig| {
        config.recipe.schedule = Schedule::OneCycle { peak_at: 0.3, first_share: 0.04, final_share: 0.001 };
        config.recipe.warmup_steps = 3;
    };
    refused(cycle, "recipe.warmup_steps: must be 0 with a one-cycle schedule");
    let stop = |config: &mut RunConfig| {
        config.recipe.training_error = TrainingError { images: 0, stop_at: 0.25, every_steps: 0 };
    };
    refused(stop, "recipe.training_error.stop_at: needs `recipe.training_error.images`");
}
