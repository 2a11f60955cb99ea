//! Weights from elsewhere: what is in a file, and what it says of photographs.

use std::path::Path;

use alexnet_data::{Preprocessing, Views};
use alexnet_model::Network;
use alexnet_weights::{Names, Tensor, Weights};
use anyhow::{Context, Result, anyhow, bail};
use burn::tensor::{Device, TensorData};
use serde::Serialize;

use crate::cli::{Format, NamesArg, PredictArgs};
use crate::commands::{backend, print};
use crate::{library, network};

/// The names of ILSVRC-2012's classes, in the order of their wnids (WordNet's licence is beside the file).
const LABELS: &str = include_str!("../datasets/imagenet-labels.tsv");

/// Images that go through the network at once, times their views.
const BATCH: usize = 32;

/// The presets whose parameters these weights are.
fn fitting(weights: &Weights) -> Vec<Network> {
    let presets = library::presets().into_iter().filter_map(|preset| network::load(preset.name).ok());
    presets.filter(|network| weights.check(network).is_ok()).collect()
}

/// The network of weights: what was asked for, or the preset that fits.
fn network_of(weights: &Weights, preset: Option<&str>) -> Result<Network> {
    if let Some(name) = preset {
        return network::load(name);
    }
    let fitting = fitting(weights);
    // Siblings differ in what parameters do not show; torchvision's names say whose they are.
    let theirs =
        |network: &&Network| Names::of(weights, network).is_ok_and(|names| names == Names::Torchvision);
    let torchvision = fitting.iter().find(|network| network.name == "torchvision").filter(theirs);
    match (torchvision, fitting.as_slice()) {
        (Some(network), _) => Ok(network.clone()),
        (None, [network]) => Ok(network.clone()),
        (None, []) => bail!("these weights fit no preset; say which network with `--preset`"),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|network| network.name.as_str()).collect();
            bail!("these weights fit {}; say which with `--preset`", names.join(", "))
        }
    }
}

/// `experiments weights inspect`.
pub(crate) fn inspect(file: &Path, format: Format) -> Result<()> {
    let weights = Weights::read(file)?;
    let fitting: Vec<String> = fitting(&weights).into_iter().map(|network| network.name).collect();
    if format == Format::Json {
        let tensors = weights.tensors.iter().map(|(name, tensor)| {
            serde_json::json!({ "name": name, "shape": tensor.shape, "numbers": tensor.values.len() })
        });
        let tensors: Vec<_> = tensors.collect();
        print(&serde_json::to_string_pretty(&serde_json::json!({ "tensors": tensors, "fits": fitting }))?);
        return Ok(());
    }
    for (name, tensor) in &weights.tensors {
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        let (low, high) =
            tensor.values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
                (low.min(*value), high.max(*value))
            });
        print(&format!("{name:<24} {:<20} {low:>10.4} to {high:.4}", shape.join(" × ")));
    }
    let count: usize = weights.tensors.values().map(|tensor| tensor.values.len()).sum();
    print(&format!("{} tensors, {count} numbers", weights.tensors.len()));
    match fitting.is_empty() {
        true => print("fits no preset"),
        false => print(&format!("fits {}", fitting.join(", "))),
    }
    Ok(())
}

/// `experiments weights export`.
pub(crate) fn export(file: &Path, preset: Option<&str>, out: &Path, names: NamesArg) -> Result<()> {
    let weights = Weights::read(file)?;
    let network = network_of(&weights, preset)?;
    let model = weights.network(&network, &backend(None)?.device()?)?;
    let names = match names {
        NamesArg::Ours => Names::Ours,
        NamesArg::Torchvision => Names::Torchvision,
    };
    Weights::of(&model, names)?.write(out)?;
    print(&format!("{}: the weights of `{}`", out.display(), network.name));
    Ok(())
}

/// What a network makes of one photograph.
#[derive(Debug, Serialize)]
struct Prediction {
    image: String,
    top: Vec<Guess>,
}

/// A class with its probability.
#[derive(Debug, Serialize)]
struct Guess {
    index: usize,
    label: String,
    probability: f32,
}

/// `experiments predict`.
pub(crate) fn predict(args: &PredictArgs) -> Result<()> {
    let weights = Weights::read(&args.weights)?;
    let network = network_of(&weights, args.preset.as_deref())?;
    if network.input.channels != 3 {
        bail!("network `{}` looks at grey images; photographs have colours", network.name);
    }
    let shape = args.features.as_ref().map(|layer| feature_shape(&network, layer)).transpose()?;
    let device = backend(args.backend)?.device()?;
    let model = weights.network(&network, &device)?;
    drop(weights);
    let how = match network.name.as_str() {
        "torchvision" => Preprocessing::TORCHVISION,
        _ => Preprocessing::paper(network.input.size),
    };
    let labels: Vec<&str> = LABELS.lines().filter_map(|line| line.split('\t').nth(2)).collect();
    let label = |index: usize| match network.classes == labels.len() {
        true => labels[index].to_owned(),
        false => format!("class {index}"),
    };
    let (mut logits, mut features, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
    for images in args.images.chunks((BATCH / args.views.count()).max(1)) {
        let mut inputs = Vec::new();
        for path in images {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let views = how.views(&bytes, args.views);
            inputs.extend(views.map_err(|problem| anyhow!("{}: {problem}", path.display()))?);
        }
        let views = args.views.count();
        let batch = batch(inputs, images.len() * views, how.crop, &device);
        if let Some(layer) = &args.features {
            features.extend(values(model.features(batch.clone(), layer)));
        }
        let scores = values(model.forward(batch, alexnet_model::Mode::Evaluation));
        for (path, scores) in images.iter().zip(scores.chunks_exact(views * network.classes)) {
            let probabilities = averaged_softmax(scores, network.classes);
            let mut order: Vec<usize> = (0..network.classes).collect();
            order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
            let top = order.into_iter().take(args.top);
            let top =
                top.map(|index| Guess { index, label: label(index), probability: probabilities[index] });
            predictions.push(Prediction { image: path.display().to_string(), top: top.collect() });
            match args.views {
                Views::Centre => logits.extend_from_slice(scores),
                Views::Ten => logits.extend(probabilities.iter().map(|probability| probability.ln())),
            }
        }
    }
    if let Some(path) = &args.logits {
        let count = args.images.len();
        let mut file = Weights::default();
        let shape_of = |rest: &[usize]| [&[count][..], rest].concat();
        file.tensors
            .insert("logits".to_owned(), Tensor { shape: shape_of(&[network.classes]), values: logits });
        if let (Some(layer), Some(shape)) = (&args.features, shape) {
            // With ten views, those of each image one after the other.
            let shape = [&[count * args.views.count()][..], &shape].concat();
            file.tensors.insert(layer.clone(), Tensor { shape, values: features });
        }
        file.write(path)?;
    }
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(&predictions)?),
        Format::Text => predictions.iter().for_each(|prediction| {
            print(&prediction.image);
            for guess in &prediction.top {
                print(&format!("  {:6.2} %  {}", 100.0 * guess.probability, guess.label));
            }
        }),
    }
    Ok(())
}

/// The extents of what a layer gives out for one image.
fn feature_shape(network: &Network, layer: &str) -> Result<Vec<usize>> {
    let trace = network.trace()?;
    let Some(index) = trace.layers.iter().position(|trace| trace.name == layer) else {
        let names: Vec<&str> = trace.layers.iter().map(|trace| trace.name.as_str()).collect();
        bail!("network `{}` has no layer `{layer}`; it has {}", network.name, names.join(", "));
    };
    let trace = &trace.layers[index];
    let (channels, side) =
        (trace.outputs * trace.towers, trace.stages.last().map_or(trace.side, |stage| stage.side));
    Ok(if index < network.conv.len() { vec![channels, side, side] } else { vec![channels] })
}

fn batch(inputs: Vec<f32>, count: usize, side: usize, device: &Device) -> burn::tensor::Tensor<4> {
    burn::tensor::Tensor::from_data(TensorData::new(inputs, [count, 3, side, side]), device)
}

fn values(tensor: burn::tensor::Tensor<2>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().expect("converted to f32")
}

/// The mean over views of their softmax outputs.
fn averaged_softmax(scores: &[f32], classes: usize) -> Vec<f32> {
    let mut mean = vec![0.0f64; classes];
    let views = scores.chunks_exact(classes);
    let count = views.len() as f64;
    for view in views {
        let most = view.iter().fold(f32::NEG_INFINITY, |most, score| most.max(*score));
        let powers: Vec<f64> = view.iter().map(|score| f64::from(score - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        mean.iter_mut().zip(powers).for_each(|(mean, power)| *mean += power / sum / count);
    }
    mean.into_iter().map(|probability| probability as f32).collect()
}
