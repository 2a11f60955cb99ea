//! One arm of a race: the training of one network.

use alexnet_config::{Diff, parse};
use alexnet_data::{Dataset, Manifest, Views};
use alexnet_model::{Mode, Place};
use alexnet_ops::Backend;
use alexnet_study::arm::resolve;
use alexnet_study::{Ablation, Scale};
use alexnet_train::{
    Advance, Data, Environment, Pass, RunConfig, Training, averaged_softmax, evaluation_loader,
};
use burn::data::dataloader::DataLoader;
use serde::{Deserialize, Serialize};

use crate::squares::{Pictures, Squares, values};
use crate::{Answer, Answered};

/// A request to begin a training.
#[derive(Debug, Deserialize)]
struct Request {
    /// The TOML of the scale.
    scale: String,
    /// The TOML of the ablation and the name of its arm; absent: the scale's own config.
    ablation: Option<String>,
    arm: Option<String>,
    /// Changes by `key=value`, as `--set` takes them.
    #[serde(default)]
    set: Vec<String>,
    /// The number of epochs, as `--epochs` takes it.
    epochs: Option<usize>,
    seed: u64,
}

impl Request {
    /// Returns the config that the command line trains with the same words.
    fn config(&self) -> Result<RunConfig, Box<dyn std::error::Error>> {
        let scale = parse::<Scale>(&self.scale)?.with_epochs(self.epochs);
        let mut set = Diff::default();
        self.set.iter().try_for_each(|text| set.parse_set(text))?;
        let Some(toml) = &self.ablation else { return Ok(scale.config(&set)?) };
        let ablation = Ablation::parse(toml)?;
        let ablation = if self.epochs.is_some() { ablation.without_epochs() } else { ablation };
        let name = self.arm.as_deref().unwrap_or(&ablation.base.name);
        let arms = resolve(&ablation, &scale, &set)?;
        let found = arms.into_iter().find(|(arm, _)| arm.name == name);
        let (_, config) = found.ok_or_else(|| format!("ablation `{}` has no arm `{name}`", ablation.name))?;
        Ok(config)
    }
}

/// The answer to [`Racer::open`].
#[derive(Debug, Serialize)]
struct Opened {
    /// The updates of an epoch, and of the whole training.
    steps_per_epoch: usize,
    steps: usize,
    batch_size: usize,
    /// The error, a fraction, at which training ends; 0 for never.
    stop_at: f64,
    parameters: u64,
    towers: usize,
    /// The split whose error is compared: `train-evaluated`, or `validation`.
    compared: &'static str,
    /// The config in TOML.
    config: String,
}

/// The answer to [`Racer::advance`].
#[derive(Debug, Serialize)]
struct Advanced {
    steps: Vec<(usize, f64, f64)>,
    passes: Vec<Scored>,
    done: bool,
}

#[derive(Debug, Serialize)]
struct Scored {
    split: &'static str,
    epoch: usize,
    step: usize,
    images: usize,
    loss: f64,
    error: f64,
}

impl Scored {
    fn of(Pass { split, epoch, step, score }: &Pass) -> Self {
        let (split, epoch, step) = (*split, *epoch, *step);
        Self { split, epoch, step, images: score.images, loss: score.loss(), error: score.top1_error() }
    }
}

/// The answer to [`Racer::maps`].
#[derive(Debug, Serialize)]
struct Shown {
    class: usize,
    probabilities: Vec<f64>,
    layers: Vec<Squares>,
}

/// The data and the training of a worker.
#[derive(Default)]
pub struct Racer {
    files: Vec<Vec<u8>>,
    data: Option<Data>,
    running: Option<(RunConfig, Environment, Training)>,
}

impl Racer {
    /// Takes one of MNIST's four files, gzipped or not: training images, their labels, test images, their labels.
    ///
    /// # Errors
    /// None.
    pub fn file(&mut self, bytes: Vec<u8>) -> Answered {
        self.files.push(bytes);
        Ok(Answer::default())
    }

    /// Reads the data set from its files. The request is the TOML of its manifest. Answers with the names of the classes and the numbers
    /// of images.
    ///
    /// # Errors
    /// If a file is missing or broken.
    pub fn data(&mut self, manifest: &[u8]) -> Answered {
        let manifest: Manifest = parse(std::str::from_utf8(manifest)?)?;
        // The page has a part of the test images.
        let manifest = Manifest { images: None, ..manifest };
        let files: [Vec<u8>; 4] =
            std::mem::take(&mut self.files).try_into().map_err(|_| "four files make a data set")?;
        let data = Data::new(Dataset::of_idx_files(&manifest, files)?)?;
        let set = &data.dataset;
        let sizes = [&set.train, &set.validation, &set.test].map(|split| split.len());
        let answer = Answer::of(&(&set.classes, sizes), Vec::new())?;
        self.data = Some(data);
        Ok(answer)
    }

    /// Begins a training from a request in JSON.
    ///
    /// # Errors
    /// If a change cannot be made, or the config does not fit the data.
    pub fn open(&mut self, request: &[u8]) -> Answered {
        let request: Request = serde_json::from_slice(request)?;
        let config = request.config()?;
        let data = self.data.as_ref().ok_or("the data set is not there yet")?;
        let environment = Environment { workers: 0, ..Environment::on(Backend::in_this_build()[0])? };
        let training = Training::new(&config, data, &environment, request.seed)?;
        let recipe = &config.recipe;
        let opened = Opened {
            steps_per_epoch: training.steps_per_epoch(),
            steps: training.steps(),
            batch_size: recipe.batch_size,
            stop_at: recipe.training_error.stop_at,
            parameters: config.network.trace()?.parameters() as u64,
            towers: config.network.towers,
            compared: if recipe.training_error.images > 0 { "train-evaluated" } else { "validation" },
            config: toml::to_string(&config)?,
        };
        self.running = Some((config, environment, training));
        Ok(Answer::of(&opened, Vec::new())?)
    }

    fn training(&mut self) -> Result<&mut Training, &'static str> {
        self.running.as_mut().map(|(_, _, training)| training).ok_or("no training has begun")
    }

    /// Trains at most `steps` steps, to the end of the epoch at most. Answers with `[step, loss, errors]` of each, and with the passes over
    /// splits that were due.
    ///
    /// # Errors
    /// If no training has begun, or its loss is not finite.
    pub fn advance(&mut self, steps: usize) -> Answered {
        let training = self.training()?;
        let Advance { steps, passes } = training.advance(steps)?;
        let advanced = Advanced {
            steps: steps.iter().map(|it| (it.step, it.score.loss(), it.score.top1_error())).collect(),
            passes: passes.iter().map(Scored::of).collect(),
            done: training.is_done(),
        };
        Ok(Answer::of(&advanced, Vec::new())?)
    }

    /// Answers with the score of the test images.
    ///
    /// # Errors
    /// If no training has begun.
    pub fn test(&mut self) -> Answered {
        let result = self.training()?.test()?;
        let (images, loss, error) = (result.images, result.loss, result.top1_error);
        Ok(Answer::of(&Scored { split: "test", epoch: 0, step: 0, images, loss, error }, Vec::new())?)
    }

    /// Answers with the kernels of the first layer by tower, `[kernels, channels, side, side]` each.
    ///
    /// # Errors
    /// If no training has begun, or the first layer has no kernels.
    pub fn kernels(&mut self) -> Answered {
        let model = self.training()?.model();
        let pictures = Pictures::kernels(model.network()).ok_or("the first layer has no kernels")?;
        Ok(Answer::of(&pictures.layers, pictures.floats)?)
    }

    /// Shows test image `image` to the network. Answers with the probabilities and the feature maps at the end of each convolutional
    /// layer; the first square is the image, 0–255.
    ///
    /// # Errors
    /// If no training has begun, or there is no such image.
    pub fn maps(&mut self, image: usize) -> Answered {
        let data = self.data.as_ref().ok_or("the data set is not there yet")?;
        let (config, environment, training) = self.running.as_ref().ok_or("no training has begun")?;
        let dataset = data.dataset.part(&config.data.classes, 0, 0)?;
        if image >= dataset.test.len() {
            return Err(format!("there are {} test images", dataset.test.len()).into());
        }
        let split = dataset.test.select(&[image]);
        let [channels, side] = split.image_shape();
        let mut pictures = Pictures::default();
        pictures.add("image", 0, [1, channels, side], split.image(0)?.into_iter().map(f32::from).collect());
        let device = environment.placement.first();
        let loader = evaluation_loader(config, split, &data.statistics, Views::Centre, device, 0)?;
        let batch = loader.iter().next().ok_or("no image")??;
        let mut observe = |place: Place<'_>, maps| pictures.observe(place, maps);
        let model = training.model();
        let logits = model.network().forward_observed(batch.images, Mode::Evaluation, &mut observe);
        let logits = values(logits);
        let probabilities = averaged_softmax(&logits, logits.len());
        let class = batch.targets.first().copied().unwrap_or_default();
        let Pictures { layers, floats } = pictures;
        Ok(Answer::of(&Shown { class, probabilities, layers }, floats)?)
    }
}
