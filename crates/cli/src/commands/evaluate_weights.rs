//! `experiments evaluate` for weights from elsewhere: the errors on a data set next to the published ones.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use alexnet_data::{Resize, Views};
use alexnet_model::Mode;
use alexnet_ops::fits;
use alexnet_train::{Predictions, averaged_softmax};
use anyhow::{Result, bail};
use rayon::prelude::*;

use crate::args::{EvaluateArgs, Format};
use crate::batch::{BATCH, batch, values};
use crate::data_sets::open_split;
use crate::interrupted::Interrupted;
use crate::loaded::{Loaded, PUBLISHED};
use crate::machine::backend;
use crate::observer::print_test;
use crate::output::{note, print};

/// Tests `weights` on the test images of `args.data`.
pub(crate) fn evaluate(args: &EvaluateArgs, weights: &Path, stop: &AtomicBool) -> Result<()> {
    if args.ensemble {
        bail!("`--ensemble` averages runs");
    }
    let loaded = Loaded::open(weights, &args.origin)?;
    let (split, classes, name) = open_split(args.data.as_deref(), args.set.as_deref(), false)?;
    let outputs = loaded.outputs(&classes)?;
    let views = args.views.unwrap_or(Views::Centre);
    let backend = backend(args.backend)?;
    let at_once = (BATCH / views.count()).max(1);
    let largest = loaded.network.trace()?.largest_tensor(at_once * views.count());
    fits(&backend, (largest as u64).saturating_mul(4))?;
    let device = backend.device()?;
    let model = loaded.model(&device)?;
    let Loaded { network, how, .. } = &loaded;
    let mut predictions =
        Predictions { classes: network.classes, probabilities: Vec::new(), targets: Vec::new() };
    let (begun, mut said) = (Instant::now(), Instant::now());
    for start in (0..split.len()).step_by(at_once) {
        if stop.load(Ordering::SeqCst) {
            return Err(Interrupted(format!("interrupted after {start} images; nothing is kept")).into());
        }
        let images: Vec<usize> = (start..(start + at_once).min(split.len())).collect();
        let inputs: Vec<Vec<f32>> =
            images.par_iter().map(|&image| split.views(image, how, views)).collect::<Result<_, _>>()?;
        let shape = [images.len() * views.count(), network.input.channels, how.crop];
        let scores = values(model.forward(batch(inputs.concat(), shape, &device), Mode::Evaluation));
        for (&image, scores) in images.iter().zip(scores.chunks_exact(views.count() * network.classes)) {
            if scores.iter().any(|score| !score.is_finite()) {
                bail!("{}: gives image {image} scores that are no numbers", weights.display());
            }
            predictions.probabilities.extend(averaged_softmax(scores, network.classes));
            predictions.targets.push(outputs[split.label(image)]);
        }
        if said.elapsed().as_secs() >= 10 {
            said = Instant::now();
            let done = predictions.targets.len();
            let left = begun.elapsed().mul_f64((split.len() - done) as f64 / done as f64);
            note(&format!("{done} of {} images; {} left", split.len(), alexnet_train::spoken(left)));
        }
    }
    let result = predictions.result(views);
    let published = PUBLISHED.iter().find(|(name, ..)| *name == network.name && network.classes == 1000);
    if args.format == Format::Json {
        let published = published.map(|(_, top1, top5, source)| {
            serde_json::json!({ "top1_accuracy": top1, "top5_accuracy": top5, "source": source })
        });
        print(&serde_json::to_string_pretty(&serde_json::json!({
            "weights": weights, "network": network.name, "split": name, "test": result,
            "top1_accuracy": 100.0 * (1.0 - result.top1_error),
            "top5_accuracy": 100.0 * (1.0 - result.top5_error),
            "published": published,
        }))?);
        return Ok(());
    }
    let on = if name == "all" { "all images" } else { name };
    print_test(&format!("`{}` on {on}", network.name), &result);
    print(&format!(
        "accuracy: top-1 {:.3} %, top-5 {:.3} %",
        100.0 * (1.0 - result.top1_error),
        100.0 * (1.0 - result.top5_error)
    ));
    if let Some((_, top1, top5, source)) = published {
        print(&format!(
            "published: top-1 {top1} %, top-5 {top5} % on the 50,000 validation images of ILSVRC-2012 ({source})"
        ));
    }
    if matches!(how.resize, Resize::Square(_)) {
        print(
            "whole images are warped to a square, as Caffe did; prepared images are centre squares already",
        );
    }
    Ok(())
}
