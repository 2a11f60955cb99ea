//! Predictions for photographs.

use alexnet_data::{Views, write_whole};
use alexnet_model::Network;
use alexnet_train::averaged_softmax;
use alexnet_weights::{Tensor, Weights};
use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;

use crate::args::{Format, PredictArgs};
use crate::batch::{BATCH, batch, values};
use crate::loaded::{Loaded, refuse_input};
use crate::machine::backend;
use crate::output::print;

/// The predictions of a network for one photograph.
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
    if let Some(out) = &args.logits {
        refuse_input("--logits", out, args.images.iter().chain([&args.weights]))?;
    }
    let mut loaded = Loaded::open(&args.weights, &args.origin)?;
    let shape = args.features.as_ref().map(|layer| feature_shape(&loaded.network, layer)).transpose()?;
    let device = backend(args.backend)?.device()?;
    let model = loaded.model(&device)?;
    loaded.weights = Weights::default();
    let Loaded { network, how, .. } = &loaded;
    let labels = loaded.labels();
    let (mut logits, mut features, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
    for images in args.images.chunks((BATCH / args.views.count()).max(1)) {
        let mut inputs = Vec::new();
        for path in images {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let views = how.views(&bytes, args.views);
            inputs.extend(views.map_err(|problem| anyhow!("{}: {problem}", path.display()))?);
        }
        let views = args.views.count();
        let batch = batch(inputs, [images.len() * views, network.input.channels, how.crop], &device);
        if let Some(layer) = &args.features {
            features.extend(values(model.features(batch.clone(), layer)));
        }
        let scores = values(model.forward(batch, alexnet_model::Mode::Evaluation));
        for (path, scores) in images.iter().zip(scores.chunks_exact(views * network.classes)) {
            if scores.iter().any(|score| !score.is_finite()) {
                let (weights, image) = (args.weights.display(), path.display());
                bail!("{weights}: gives {image} scores that are no numbers, so it has no class");
            }
            let probabilities = averaged_softmax(scores, network.classes);
            let mut order: Vec<usize> = (0..network.classes).collect();
            order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
            let top = order.into_iter().take(args.top);
            let top = top.map(|index| Guess {
                index,
                label: labels[index].clone(),
                probability: probabilities[index] as f32,
            });
            predictions.push(Prediction { image: path.display().to_string(), top: top.collect() });
            match args.views {
                Views::Centre => logits.extend_from_slice(scores),
                // A probability can underflow even in 64 bits, so it is clamped before the logarithm.
                Views::Ten => {
                    logits.extend(probabilities.iter().map(|it| it.max(f64::MIN_POSITIVE).ln() as f32));
                }
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
            // With ten views, the views of each image are consecutive.
            let shape = [&[count * args.views.count()][..], &shape].concat();
            file.tensors.insert(layer.clone(), Tensor { shape, values: features });
        }
        write_whole(path, &file.to_bytes()?).with_context(|| format!("cannot write {}", path.display()))?;
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

/// Returns the shape of a layer's output for one image.
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
