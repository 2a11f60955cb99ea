//! Trained weights and a photograph: guesses, feature maps, occlusion and saliency.

use std::path::PathBuf;

use alexnet_analysis::{Occlusion, Table, nearest, saliency};
use alexnet_data::{Views, rgb_png};
use alexnet_model::{AlexNet, Mode, Place};
use alexnet_ops::Backend;
use alexnet_weights::{Known, Loaded, Weights};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use crate::squares::{Pictures, Squares, values};
use crate::{Answer, Answered};

/// The inputs of one forward pass. A large network's feature maps would otherwise take much memory.
const AT_ONCE: usize = 8;

/// Weights that are ready for images.
struct Network {
    loaded: Loaded,
    model: AlexNet,
}

/// The weights and the photograph of a worker.
#[derive(Default)]
pub struct Looker {
    name: String,
    network: Option<Network>,
    /// The network's input, `[channels, side, side]`.
    view: Vec<f32>,
    probabilities: Vec<f32>,
    /// The features of the gallery's images, one row each.
    gallery: Vec<f32>,
}

/// The answer to [`Looker::weights`].
#[derive(Debug, Serialize)]
struct Described {
    network: String,
    parameters: u64,
    /// The channels and the side of the input.
    input: [usize; 2],
    labels: Vec<String>,
    /// Guesses where the file says nothing.
    assumptions: Vec<String>,
}

/// The answer to [`Looker::photograph`].
#[derive(Debug, Serialize)]
struct Seen {
    logits: Vec<f32>,
    probabilities: Vec<f32>,
    /// `view` has the shown pixels, 0–255; the others are feature maps.
    layers: Vec<Squares>,
}

/// An image of the gallery, with the distance of its features from the photograph's.
#[derive(Debug, Serialize)]
struct Near {
    image: usize,
    distance: f32,
}

/// Where the evidence for the most probable class is: a number for each pixel, at least 0.
#[derive(Debug, Serialize)]
struct Evidence {
    side: usize,
    class: usize,
}

fn device() -> Result<Device, Box<dyn std::error::Error>> {
    let backend = Backend::in_this_build().first().copied().ok_or("this build has no backend")?;
    Ok(backend.device()?)
}

impl Looker {
    /// Takes the name of the next file, for messages.
    ///
    /// # Errors
    /// If the name is not text.
    pub fn name(&mut self, name: Vec<u8>) -> Answered {
        self.name = String::from_utf8(name)?;
        Ok(Answer::default())
    }

    /// Reads a file of weights and determines its network, the preparation of images and the classes, as `predict` does.
    ///
    /// # Errors
    /// If the bytes are not those of a weights file, are damaged, or do not fit exactly one network.
    pub fn weights(&mut self, bytes: Vec<u8>) -> Answered {
        *self = Self { name: std::mem::take(&mut self.name), ..Self::default() };
        let weights =
            Weights::of_bytes(&PathBuf::from(&self.name), bytes).map_err(|error| self.named(&error))?;
        let mut loaded = Loaded::new(weights, Known::default()).map_err(|error| self.named(&error))?;
        let model = loaded.model(&device()?).map_err(|error| self.named(&error))?;
        // The network has a copy.
        loaded.weights = Weights::default();
        let network = &loaded.network;
        let described = Described {
            network: network.name.clone(),
            parameters: network.trace()?.parameters() as u64,
            input: [network.input.channels, network.input.size],
            labels: loaded.labels(),
            assumptions: loaded.assumptions.iter().map(ToString::to_string).collect(),
        };
        self.network = Some(Network { loaded, model });
        Ok(Answer::of(&described, Vec::new())?)
    }

    /// Returns an error with the name of the file, which those about tensors do not have.
    fn named(&self, error: &dyn std::fmt::Display) -> String {
        let text = error.to_string();
        if text.starts_with(&self.name) { text } else { format!("{}: {text}", self.name) }
    }

    fn network(&self) -> Result<&Network, &'static str> {
        self.network.as_ref().ok_or("there are no weights yet")
    }

    /// Returns the kernels of the first layer; none if it has no kernels.
    ///
    /// # Errors
    /// If there are no weights.
    pub fn kernels(&self) -> Answered {
        let Pictures { layers, floats } = Pictures::kernels(&self.network()?.model).unwrap_or_default();
        Ok(Answer::of(&layers, floats)?)
    }

    /// Shows a photograph, in JPEG or PNG, to the network: the centre view, as `predict --views centre` does.
    ///
    /// # Errors
    /// If there are no weights, or the photograph cannot be decoded.
    pub fn photograph(&mut self, bytes: &[u8]) -> Answered {
        let network = self.network()?;
        let preprocessing = &network.loaded.preprocessing;
        let view = preprocessing
            .views(bytes, Views::Centre)
            .map_err(|problem| format!("the photograph: {problem}"))?;
        let [channels, side] = [preprocessing.gain.len(), preprocessing.crop];
        let mut pictures = Pictures::default();
        let shown = preprocessing.shown(&view).into_iter().map(f32::from).collect();
        pictures.add("view", 0, [1, channels, side], shown);
        let input = input(view.clone(), [1, channels, side], &device()?);
        let mut observe = |place: Place<'_>, maps| pictures.observe(place, maps);
        let logits = network.model.forward_observed(input, Mode::Evaluation, &mut observe);
        let logits = values(logits);
        let probabilities = softmax(&logits);
        (self.view, self.probabilities) = (view, probabilities.clone());
        let Pictures { layers, floats } = pictures;
        Ok(Answer::of(&Seen { logits, probabilities, layers }, floats)?)
    }

    /// Removes all images from the gallery.
    pub fn empty(&mut self) -> Answer {
        self.gallery.clear();
        Answer::default()
    }

    /// Adds an image to the gallery: a file in JPEG or PNG, or `side`² grey pixels if `side` is not 0.
    ///
    /// # Errors
    /// If there are no weights, or the image cannot be decoded.
    pub fn gallery(&mut self, bytes: &[u8], side: usize) -> Answered {
        let pixels = || bytes.iter().flat_map(|&grey| [grey; 3]).collect::<Vec<_>>();
        let file = if side == 0 { bytes } else { &rgb_png(side, side, &pixels())? };
        let Network { loaded: Loaded { preprocessing, .. }, .. } = self.network()?;
        let view = preprocessing.views(file, Views::Centre)?;
        let features = self.features(view)?;
        self.gallery.extend(features);
        Ok(Answer::default())
    }

    /// Answers with the `count` images of the gallery whose features are nearest to the photograph's (Krizhevsky et al. 2012, figure 4:
    /// Euclidean distance of the last hidden layer), the nearest first.
    ///
    /// # Errors
    /// If there are no weights or no photograph.
    pub fn nearest(&self, count: usize) -> Answered {
        self.class()?;
        let features = self.features(self.view.clone())?;
        let width = features.len();
        let mut table = Table { values: self.gallery.clone(), width };
        let rows = self.gallery.len() / width;
        let found = nearest(&features, width, &mut table, rows, count.min(rows), &device()?)?;
        let near = found.into_iter().flatten();
        let near: Vec<_> = near.map(|it| Near { image: it.row, distance: it.distance.sqrt() }).collect();
        Ok(Answer::of(&near, Vec::new())?)
    }

    /// Returns the outputs of the last hidden layer for a view.
    fn features(&self, view: Vec<f32>) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
        let Network { loaded, model } = self.network()?;
        let [channels, side] = [loaded.preprocessing.gain.len(), loaded.preprocessing.crop];
        let convolutions = loaded.network.conv.iter().map(|layer| &layer.name);
        let hidden = convolutions.chain(loaded.network.fc.iter().map(|layer| &layer.name)).rev().nth(1);
        let layer = hidden.ok_or("the network has no hidden layer")?;
        Ok(values(model.features(input(view, [1, channels, side], &device()?), layer)))
    }

    fn class(&self) -> Result<usize, &'static str> {
        let best = (0..self.probabilities.len())
            .max_by(|a, b| self.probabilities[*a].total_cmp(&self.probabilities[*b]));
        best.ok_or("there is no photograph yet")
    }

    /// Covers the view with a grey square at each of a grid of places, and answers with the loss of probability of the most probable
    /// class at each pixel: the mean over the squares that cover it (Zeiler & Fergus 2013, §4.2). The grid has `places` rows.
    ///
    /// # Errors
    /// If there are no weights or no photograph.
    pub fn occlusion(&self, places: usize) -> Answered {
        let (Network { loaded, model }, class) = (self.network()?, self.class()?);
        let [channels, side] = [loaded.preprocessing.gain.len(), loaded.preprocessing.crop];
        let (square, places) = ((side / 5).max(1), places.max(2));
        let places = (0..places).map(|at| at * (side - square) / (places - 1)).collect();
        let occlusion = Occlusion { view: &self.view, side, square, places };
        let device = device()?;
        let heat = occlusion.heat(self.probabilities[class], AT_ONCE, |inputs| {
            let count = inputs.len() / self.view.len();
            let logits =
                values(model.forward(input(inputs, [count, channels, side], &device), Mode::Evaluation));
            let each = logits.chunks_exact(self.probabilities.len());
            Ok::<_, std::convert::Infallible>(each.map(|logits| softmax(logits)[class]).collect())
        })?;
        Ok(Answer::of(&Evidence { side, class }, heat.pixels)?)
    }

    /// Answers with the largest magnitude over the channels of the gradient of the most probable class's logit at each pixel (Simonyan,
    /// Vedaldi & Zisserman 2013, §3).
    ///
    /// # Errors
    /// If there are no weights or no photograph.
    pub fn saliency(&self) -> Answered {
        let (Network { loaded, model }, class) = (self.network()?, self.class()?);
        let [channels, side] = [loaded.preprocessing.gain.len(), loaded.preprocessing.crop];
        let device = device()?.autodiff();
        let view = input(self.view.clone(), [1, channels, side], &device);
        let model = model.clone().fork(&device);
        let heat = saliency(view, class, |view| model.forward(view, Mode::Evaluation))
            .ok_or("the answer does not depend on the image")?;
        Ok(Answer::of(&Evidence { side, class }, heat.pixels)?)
    }
}

fn input(values: Vec<f32>, [images, channels, side]: [usize; 3], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, [images, channels, side, side]), device)
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let probabilities = alexnet_train::averaged_softmax(logits, logits.len());
    probabilities.into_iter().map(|probability| probability as f32).collect()
}
