//! Predictions for photographs.

mod photographs;
mod shown;

use std::sync::atomic::AtomicBool;

use alexnet_data::{Loader, Split, Views, atomic_write};
use alexnet_model::{Mode, Network};
use alexnet_train::{TrainError, averaged_softmax, for_each_image};
use alexnet_weights::Weights;
use anyhow::{Context, Result, bail};
use burn::tensor::Tensor;

use self::photographs::photographs;
use self::shown::{Guess, Prediction, Shown};
use crate::args::PredictArgs;
use crate::batch::{BATCH, workers};
use crate::interrupted::Interrupted;
use crate::loaded::{Loaded, refuse_input};
use crate::machine::{backend, precision_missing};

/// `experiments predict`.
pub(crate) fn predict(args: &PredictArgs, stop: &AtomicBool) -> Result<()> {
    let images = photographs(&args.images)?;
    if let Some(out) = &args.logits {
        refuse_input("--logits", out, images.iter().chain([&args.weights]))?;
    }
    let mut loaded = Loaded::open(&args.weights, &args.origin)?;
    let shape = args.features.as_ref().map(|layer| feature_shape(&loaded.network, layer)).transpose()?;
    let device = backend(args.machine.backend)?.device()?;
    let precision = args.precision.precision;
    precision.check(&device).map_err(precision_missing)?;
    let model = loaded.model(&device)?.with_precision(precision);
    loaded.release();
    let (network, labels) = (&loaded.network, loaded.labels());
    let photographs = Split::of_photographs(&images, network.input.channels);
    let loader = Loader::of_photographs(
        photographs,
        &loaded.preprocessing,
        args.views,
        BATCH / args.views.count(),
        workers(),
        device,
    );
    let features_of =
        |inputs: &Tensor<4>| args.features.as_ref().map(|layer| model.features(inputs.clone(), layer));
    // With features, a row has them before the logits.
    let forward = |inputs: Tensor<4>| {
        let features = features_of(&inputs);
        let logits = model.forward(inputs, Mode::Evaluation);
        Tensor::cat(features.into_iter().chain([logits]).collect(), 1)
    };
    let (mut logits, mut features) = (Vec::new(), Vec::new());
    let mut shown = Shown::begin(args.format);
    let mut paths = images.iter();
    for_each_image(&loader, BATCH, stop, forward, |_, rows| {
        let path = paths.next().map(|path| path.display().to_string()).unwrap_or_default();
        let mut scores = Vec::new();
        for row in rows.chunks_exact(rows.len() / args.views.count()) {
            let (before, of_classes) = row.split_at(row.len() - network.classes);
            features.extend_from_slice(before);
            scores.extend_from_slice(of_classes);
        }
        if scores.iter().any(|score| !score.is_finite()) {
            let weights = args.weights.display();
            bail!("{weights}: non-finite logits for {path}");
        }
        let probabilities = averaged_softmax(&scores, network.classes);
        let mut order: Vec<usize> = (0..network.classes).collect();
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
        let top = order.into_iter().take(args.top).map(|index| Guess {
            index,
            label: labels[index].clone(),
            probability: probabilities[index] as f32,
        });
        shown.add(Prediction { image: path, top: top.collect() });
        match args.views {
            Views::Centre => logits.extend(scores),
            // A probability can underflow even in 64 bits, so it is clamped before the logarithm.
            Views::Ten => {
                logits.extend(probabilities.iter().map(|it| it.max(f64::MIN_POSITIVE).ln() as f32));
            }
        }
        Ok(())
    })
    .map_err(unless_interrupted)?;
    if let Some(path) = &args.logits {
        let count = images.len();
        let mut file = Weights::default();
        let shape_of = |rest: &[usize]| [&[count][..], rest].concat();
        file.tensors.insert(
            "logits".to_owned(),
            alexnet_weights::Tensor { shape: shape_of(&[network.classes]), values: logits },
        );
        if let (Some(layer), Some(shape)) = (&args.features, shape) {
            // With ten views, the views of each image are consecutive.
            let shape = [&[count * args.views.count()][..], &shape].concat();
            file.tensors.insert(layer.clone(), alexnet_weights::Tensor { shape, values: features });
        }
        atomic_write(path, &file.to_bytes()?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    shown.end()
}

/// Returns an error, or the message of an interruption.
fn unless_interrupted(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<TrainError>() {
        Some(TrainError::InterruptedTest) => Interrupted("interrupted; nothing is kept".to_owned()).into(),
        _ => error,
    }
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
