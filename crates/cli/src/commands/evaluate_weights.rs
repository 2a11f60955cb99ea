//! `experiments evaluate` for weights from elsewhere: the errors on a data set next to the published ones.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use alexnet_data::{Loader, Resize, Views};
use alexnet_model::Mode;
use alexnet_ops::fits;
use alexnet_train::{EvaluationResult, Predictions, averaged_softmax, for_each_image};
use anyhow::{Result, bail};

use crate::args::{EvaluateArgs, Format};
use crate::batch::{BATCH, workers};
use crate::data_sets::open_test;
use crate::interrupted::Interrupted;
use crate::loaded::{Loaded, PUBLISHED, run_of};
use crate::machine::backend;
use crate::observer::print_test;
use crate::output::{note, print};

/// Tests `weights` on the test images of `args.data`.
pub(crate) fn evaluate_weights(args: &EvaluateArgs, weights: &Path, stop: &AtomicBool) -> Result<()> {
    if args.ensemble {
        bail!("`--ensemble` averages runs");
    }
    let loaded = Loaded::open(weights, &args.origin)?;
    let set = loaded.data_set_or(args.data.data.as_deref(), args.data.set.as_deref());
    let (split, classes, name) = open_test(run_of(weights)?.as_ref(), args.data.data.as_deref(), set)?;
    let outputs = loaded.outputs(&classes)?;
    let views = args.views.unwrap_or(Views::Centre);
    let backend = backend(args.machine.backend)?;
    let at_once = (BATCH / views.count()).max(1);
    let largest = loaded.network.trace()?.largest_tensor(at_once * views.count());
    fits(&backend, (largest as u64).saturating_mul(4))?;
    let device = backend.device()?;
    let model = loaded.model(&device)?;
    let (network, preprocessing) = (&loaded.network, &loaded.preprocessing);
    let (images, threads) = (split.len(), workers());
    let loader = Loader::of_photographs(split, preprocessing, views, at_once, threads, device);
    let (begun, mut said) = (Instant::now(), Instant::now());
    let mut predictions =
        Predictions { classes: network.classes, probabilities: Vec::new(), targets: Vec::new() };
    let forward = |inputs| model.forward(inputs, Mode::Evaluation);
    let passed = for_each_image(&loader, at_once * views.count(), stop, forward, |label, scores| {
        let done = predictions.targets.len() + 1;
        if scores.iter().any(|score| !score.is_finite()) {
            bail!("{}: non-finite logits for image {}", weights.display(), done - 1);
        }
        predictions.probabilities.extend(averaged_softmax(scores, network.classes));
        predictions.targets.push(outputs[label]);
        if said.elapsed().as_secs() >= 10 {
            said = Instant::now();
            let left = begun.elapsed().mul_f64((images - done) as f64 / done as f64);
            note(&format!("{done} of {images} images; {} left", alexnet_train::spoken(left)));
        }
        Ok(())
    });
    if stop.load(Ordering::SeqCst) {
        let done = predictions.targets.len();
        return Err(Interrupted(format!("interrupted after {done} images; nothing is kept")).into());
    }
    passed?;
    let result = predictions.result(views);
    let published = PUBLISHED.iter().find(|(name, ..)| *name == network.name && network.classes == 1000);
    if args.output.format == Format::Json {
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
    print_test(&format!("`{}` on {on}", network.name), &result, network.classes);
    let five = match EvaluationResult::says_top5(network.classes) {
        true => format!(", top-5 {:.3} %", 100.0 * (1.0 - result.top5_error)),
        false => String::new(),
    };
    print(&format!("accuracy: top-1 {:.3} %{five}", 100.0 * (1.0 - result.top1_error)));
    if let Some((_, top1, top5, source)) = published {
        print(&format!(
            "published: top-1 {top1} %, top-5 {top5} % on the 50,000 validation images of ILSVRC-2012 ({source})"
        ));
    }
    if matches!(preprocessing.resize, Resize::Square(_)) {
        print(
            "whole images are warped to a square, as Caffe did; prepared images are centre squares already",
        );
    }
    Ok(())
}
