//! `experiments analyze`: analyses what a trained network has learned, as pictures and numbers.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use alexnet_data::{Class, Loader, Preprocessing, Split, Views, atomic_write};
use alexnet_model::{AlexNet, Mode};
use alexnet_ops::Key;
use alexnet_report::FinishedFigure;
use alexnet_train::{averaged_softmax, for_each_image};
use anyhow::{Context, Result, anyhow, bail};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use serde::Serialize;

use crate::args::{AnalyzeCommand, GalleryArgs, LookArgs, SetArgs};
use crate::batch::{BATCH, batch, values, workers};
use crate::contact_sheet::Canvas;
use crate::data_sets::open_test;
use crate::interrupted::Interrupted;
use crate::loaded::{Loaded, run_of};
use crate::machine::backend;
use crate::output::print;

pub(crate) mod codes;
pub(crate) mod confusion;
pub(crate) mod embedding;
pub(crate) mod evidence;
pub(crate) mod features;
mod kernels;
mod localize;
mod maps;
mod nearest;
mod predictions;

pub(crate) use codes::bench as bench_codes;
pub(crate) use nearest::bench as bench_nearest;

/// Runs `experiments analyze`.
pub(crate) fn analyze(command: AnalyzeCommand, stop: &AtomicBool) -> Result<()> {
    match command {
        AnalyzeCommand::Kernels(args) => kernels::kernels(&args),
        AnalyzeCommand::Maps(args) => maps::maps(&args, stop),
        AnalyzeCommand::Predictions(args) => predictions::predictions(&args, stop),
        AnalyzeCommand::Nearest(args) => nearest::nearest(&args, stop),
        AnalyzeCommand::Codes(args) => codes::codes(&args, stop),
        AnalyzeCommand::Localize(args) => localize::localize(&args, stop),
        AnalyzeCommand::Occlusion(args) => evidence::occlusion(&args, stop),
        AnalyzeCommand::Saliency(args) => evidence::saliency(&args.evidence, stop),
        AnalyzeCommand::GradCam(args) => evidence::grad_cam(&args, stop),
        AnalyzeCommand::Embedding(args) => embedding::embedding(&args, stop),
        AnalyzeCommand::Confusion(args) => confusion::confusion(&args, stop),
    }
}

/// The minimum side of pictures, in pixels, so that small ones are visible.
const TILE: usize = 128;

/// A network to analyse.
pub(crate) struct Inspector {
    pub(crate) loaded: Loaded,
    pub(crate) model: AlexNet,
    pub(crate) device: Device,
    out: PathBuf,
}

impl Inspector {
    pub(crate) fn open(args: &LookArgs) -> Result<Self> {
        let loaded = Loaded::open(&args.weights, &args.origin)?;
        let device = backend(args.machine.backend)?.device()?;
        let model = loaded.model(&device)?;
        Ok(Self { loaded, model, device, out: args.out.clone() })
    }

    pub(crate) fn preprocessing(&self) -> &Preprocessing {
        &self.loaded.preprocessing
    }

    /// Returns `[channels, side]` of an input.
    pub(crate) fn input(&self) -> [usize; 2] {
        [self.loaded.network.input.channels, self.preprocessing().crop]
    }

    /// Opens the test images of the requested data, or of the data set of the training.
    pub(crate) fn test_images(
        &self,
        weights: &Path,
        data: &SetArgs,
    ) -> Result<(Split, Vec<Class>, &'static str)> {
        let set = self.loaded.data_set_or(data.data.as_deref(), data.set.as_deref());
        open_test(run_of(weights)?.as_ref(), data.data.as_deref(), set)
    }

    /// Returns the name of the data set to search, if it has one.
    fn gallery_set<'a>(&'a self, args: &'a GalleryArgs) -> Option<&'a str> {
        self.loaded.data_set_or(args.inside.as_deref(), args.set.as_deref())
    }

    /// Returns the centre views of images of a split, concatenated.
    pub(crate) fn views(&self, split: &Split, images: &[usize]) -> Result<Vec<f32>> {
        let view = |&image: &usize| split.views(image, self.preprocessing(), Views::Centre);
        Ok(images.par_iter().map(view).collect::<Result<Vec<_>, _>>()?.concat())
    }

    pub(crate) fn tensor(&self, inputs: Vec<f32>) -> Tensor<4> {
        let [channels, side] = self.input();
        let count = inputs.len() / (channels * side * side);
        batch(inputs, [count, channels, side], &self.device)
    }

    /// Returns a loader of the centre views of a split.
    fn loader(&self, split: &Split) -> Loader {
        let (threads, device) = (workers(), self.device.clone());
        Loader::of_photographs(split.clone(), self.preprocessing(), Views::Centre, BATCH, threads, device)
    }

    /// Passes the class probabilities of each image of a split to `each`, in order.
    fn for_each_prediction(
        &self,
        split: &Split,
        stop: &AtomicBool,
        mut each: impl FnMut(&[f32]),
    ) -> Result<()> {
        let forward = |inputs| self.model.forward(inputs, Mode::Evaluation);
        let passed = for_each_image(&self.loader(split), BATCH, stop, forward, |_, scores| {
            each(&self.softmax(scores)?);
            anyhow::Ok(())
        });
        check_stop(stop).and(passed)
    }

    fn softmax(&self, scores: &[f32]) -> Result<Vec<f32>> {
        if scores.iter().any(|score| !score.is_finite()) {
            bail!("the network's answer to some image is no number: its weights are too large");
        }
        Ok(averaged_softmax(scores, scores.len()).into_iter().map(|it| it as f32).collect())
    }

    /// Runs the network on one input and passes the maps on the way to `observe`.
    pub(crate) fn observe(&self, view: &[f32], observe: alexnet_model::Observe) {
        let _ = self.model.forward_observed(self.tensor(view.to_vec()), Mode::Evaluation, observe);
    }

    /// Computes the class probabilities of some inputs, `[inputs, classes]`.
    pub(crate) fn probabilities(&self, inputs: Vec<f32>) -> Result<Vec<f32>> {
        let scores = values(self.model.forward(self.tensor(inputs), Mode::Evaluation));
        let each = scores.chunks_exact(self.loaded.network.classes).map(|scores| self.softmax(scores));
        Ok(each.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Returns the path of a file in the output folder, which is created.
    fn path(&self, name: &str) -> Result<PathBuf> {
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot write {}", self.out.display()))?;
        Ok(self.out.join(name))
    }

    fn write(&self, name: &str, found: &impl Serialize) -> Result<()> {
        let path = self.path(name)?;
        let text = serde_json::to_vec_pretty(found)?;
        atomic_write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        print(&path.display().to_string());
        Ok(())
    }

    fn draw(&self, name: &str, canvas: &Canvas) -> Result<()> {
        let path = self.path(name)?;
        canvas.save(&path).with_context(|| format!("cannot write {}", path.display()))?;
        print(&path.display().to_string());
        Ok(())
    }
}

/// Writes a figure as SVG, and as PNG of two pixels a unit.
pub(crate) fn write_figure(folder: &Path, name: &str, figure: &FinishedFigure) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot write {}", folder.display()))?;
    for (ending, bytes) in [("svg", figure.svg.clone().into_bytes()), ("png", figure.png(2.0)?)] {
        let path = folder.join(format!("{name}.{ending}"));
        atomic_write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        print(&path.display().to_string());
    }
    Ok(())
}

/// Returns an error if a stop was requested. Unfinished results are lost, except features, which are already
/// on disk.
pub(crate) fn check_stop(stop: &AtomicBool) -> Result<()> {
    match stop.load(Ordering::SeqCst) {
        true => Err(Interrupted("interrupted; features that were extracted are kept".to_owned()).into()),
        false => Ok(()),
    }
}

/// Returns images in a random order that depends only on the seed.
pub(crate) fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    use rand_chacha::rand_core::Rng;
    let key = |image: usize| Key::new([seed, image as u64, 0, Key::word("analyze")]).rng().next_u64();
    let mut order: Vec<(u64, usize)> = (0..count).map(|image| (key(image), image)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, image)| image).collect()
}

fn photograph(look: &Inspector, path: &Path) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let views = look.preprocessing().views(&bytes, Views::Centre);
    views.map_err(|problem| anyhow!("{}: {problem}", path.display()))
}

fn photographs(look: &Inspector, paths: &[PathBuf]) -> Result<Vec<f32>> {
    let views = paths.iter().map(|path| photograph(look, path));
    Ok(views.collect::<Result<Vec<_>>>()?.concat())
}

/// Returns a label for each output of the network, from the data's classes or else from the weights.
pub(crate) fn names(loaded: &Loaded, classes: &[Class], outputs: &[usize]) -> Vec<String> {
    let mut names = loaded.labels();
    for (class, &output) in classes.iter().zip(outputs) {
        let name = class.name.split(',').next().unwrap_or_default();
        names[output] = if name.is_empty() { class.id.clone() } else { name.to_owned() };
    }
    names
}

/// Returns the indices of the largest numbers, largest first.
pub(crate) fn largest(numbers: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|a, b| numbers[*b].total_cmp(&numbers[*a]));
    order.truncate(count);
    order
}
