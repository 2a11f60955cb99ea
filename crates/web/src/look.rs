//! Trained weights and a photograph: guesses, feature maps, occlusion and saliency.

use std::path::PathBuf;

use alexnet_data::Views;
use alexnet_model::{AlexNet, Mode};
use alexnet_ops::Backend;
use alexnet_weights::{Known, Loaded, Weights};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::Serialize;

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
}

/// The answer to [`Looker::weights`].
#[derive(Debug, Serialize)]
struct Described {
    network: String,
    parameters: u64,
    /// The channels and the side of the input.
    input: [usize; 2],
    labels: Vec<String>,
    /// What the file does not say.
    assumptions: Vec<String>,
}

/// The feature maps of a tower at the end of a layer: `count` squares of `side`² numbers.
#[derive(Debug, Serialize)]
struct Squares {
    layer: String,
    tower: usize,
    count: usize,
    channels: usize,
    side: usize,
}

/// The answer to [`Looker::photograph`].
#[derive(Debug, Serialize)]
struct Seen {
    logits: Vec<f32>,
    probabilities: Vec<f32>,
    /// `view` has the shown pixels, 0–255; the others are feature maps.
    layers: Vec<Squares>,
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
    /// If the file is no file of weights, is damaged, or not exactly one network fits.
    pub fn weights(&mut self, bytes: Vec<u8>) -> Answered {
        self.network = None;
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
        let square = |layer: &str, tower, count, channels, side| Squares {
            layer: layer.to_owned(),
            tower,
            count,
            channels,
            side,
        };
        let mut layers = vec![square("view", 0, 1, channels, side)];
        let mut floats: Vec<f32> = preprocessing.shown(&view).into_iter().map(f32::from).collect();
        let input = input(view.clone(), [1, channels, side], &device()?);
        let logits = network.model.forward_observed(input, Mode::Evaluation, &mut |place, maps| {
            if place.next.is_none() {
                let [_, count, side, _] = maps.dims();
                layers.push(square(place.layer, place.tower, count, 1, side));
                floats.extend(values(maps.clone()));
            }
            maps
        });
        let logits = values(logits);
        let probabilities = softmax(&logits);
        (self.view, self.probabilities) = (view, probabilities.clone());
        Ok(Answer::of(&Seen { logits, probabilities, layers }, floats)?)
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
        let corners: Vec<usize> = (0..places).map(|at| at * (side - square) / (places - 1)).collect();
        let (mut lost, mut covered) = (vec![0.0f32; side * side], vec![0.0f32; side * side]);
        let grid: Vec<[usize; 2]> =
            corners.iter().flat_map(|top| corners.iter().map(|left| [*top, *left])).collect();
        let pixels = |[top, left]: [usize; 2]| {
            (top..top + square).flat_map(move |y| (left..left + square).map(move |x| y * side + x))
        };
        let device = device()?;
        for part in grid.chunks(AT_ONCE) {
            let mut inputs = Vec::with_capacity(part.len() * self.view.len());
            for corner in part {
                let from = inputs.len();
                inputs.extend_from_slice(&self.view);
                for channel in 0..channels {
                    // 0 is the mean, which is grey: an input without content.
                    pixels(*corner).for_each(|at| inputs[from + channel * side * side + at] = 0.0);
                }
            }
            let logits =
                values(model.forward(input(inputs, [part.len(), channels, side], &device), Mode::Evaluation));
            for (corner, logits) in part.iter().zip(logits.chunks_exact(self.probabilities.len())) {
                let less = (self.probabilities[class] - softmax(logits)[class]).max(0.0);
                for at in pixels(*corner) {
                    lost[at] += less;
                    covered[at] += 1.0;
                }
            }
        }
        let heat = lost.iter().zip(&covered).map(|(lost, covered)| lost / covered.max(1.0)).collect();
        Ok(Answer::of(&Evidence { side, class }, heat)?)
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
        let tracked = input(self.view.clone(), [1, channels, side], &device).require_grad();
        let logits =
            burn::module::Module::fork(model.clone(), &device).forward(tracked.clone(), Mode::Evaluation);
        let index = Tensor::<2, Int>::from_data(TensorData::new(vec![class as i64], [1, 1]), &device);
        let gradients = logits.gather(1, index).sum().backward();
        let gradient = values(tracked.grad(&gradients).ok_or("the answer does not depend on the image")?);
        let most =
            |at: usize| (0..channels).map(|c| gradient[c * side * side + at].abs()).fold(0.0, f32::max);
        Ok(Answer::of(&Evidence { side, class }, (0..side * side).map(most).collect())?)
    }
}

fn input(values: Vec<f32>, [images, channels, side]: [usize; 3], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, [images, channels, side, side]), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().iter().collect()
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let probabilities = alexnet_train::averaged_softmax(logits, logits.len());
    probabilities.into_iter().map(|probability| probability as f32).collect()
}
