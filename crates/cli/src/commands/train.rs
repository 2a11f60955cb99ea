//! `experiments train`: trains one run.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use alexnet_model::Network;
use alexnet_report::SingleRun;
use alexnet_train::{Initial, Run, RunStatus};
use anyhow::{Result, bail};

use super::label;
use crate::args::{Format, TrainArgs};
use crate::data_sets::load_data;
use crate::environment::{changes, dashboard, environment};
use crate::interrupted::Interrupted;
use crate::loaded::Beginning;
use crate::machine::Machine;
use crate::observer::print_test;
use crate::output::print;
use crate::own_images::{self, Chosen};
use crate::remedies::describe_training;
use crate::run_page;
use crate::shell::word;

/// Sets the learning rates of layers to zero.
fn freeze(network: &mut Network, layers: &[String]) -> Result<()> {
    for name in layers {
        let conv = network.conv.iter_mut().map(|layer| (&layer.name, &mut layer.update));
        let fc = network.fc.iter_mut().map(|layer| (&layer.name, &mut layer.update));
        let Some((_, update)) = conv.chain(fc).find(|(layer, _)| *layer == name) else {
            bail!("`--freeze {name}`: network `{}` has no such layer", network.name);
        };
        (update.weight_rate, update.bias_rate) = (0.0, 0.0);
    }
    Ok(())
}

/// `experiments train`.
pub(crate) fn train(args: &TrainArgs, stop: Arc<AtomicBool>) -> Result<()> {
    let execution = &args.common.execution;
    let (images, from) = (execution.data.as_deref(), args.from.as_deref());
    if args.config.is_none() {
        own_images::check_out(images, &args.common.out)?;
    }
    let Chosen { scale, anew: new } = own_images::scale(args.config.as_deref(), images, &args.own, from)?;
    let scale = scale.with_epochs(args.common.epochs);
    let mut config = scale.config(&changes(&args.common.changes)?)?;
    freeze(&mut config.network, &args.freeze)?;
    let beginning = from.map(|from| Beginning::of(from, &config.network)).transpose()?;
    let machine = Machine::of(&execution.machine)?;
    if !machine.divides_batches() {
        // This thread joins the pool, so that no kernel has to be handed to another.
        rayon::ThreadPoolBuilder::new().use_current_thread().build_global()?;
    }
    let environment = environment(
        &machine,
        execution.ops,
        execution.workers,
        execution.upload,
        dashboard(args.common.plain, args.output.format),
        stop,
    );
    machine.check_fits(&config)?;
    let mut data = load_data(&config, images)?;
    machine.check_images(&data.dataset, execution.upload)?;
    if args.config.is_none() {
        own_images::describe(&data, &config, from.is_none());
    }
    if let Some(reason) = config.inert(data.dataset.channels) {
        bail!("{reason}; set `data.augmentation.colour.std=0`");
    }
    if let Some(beginning) = &beginning {
        let mut anew = std::mem::take(&mut config.initial.anew);
        for layer in args.new.iter().chain(&new) {
            if !anew.contains(layer) {
                anew.push(layer.clone());
            }
        }
        config.initial = Initial { weights: beginning.identity()?, anew };
        match &beginning.preprocessing {
            Some(preprocessing) if preprocessing.gain.len() == data.dataset.channels => {
                let (size, side) = (data.dataset.size, config.network.input.size);
                (data.statistics, config.data.mean, config.data.scale) =
                    preprocessing.for_run(&data.statistics, size, side);
                environment
                    .observer
                    .note("images are prepared as these weights need them (mean and range of pixels)");
            }
            _ => environment
                .observer
                .note("how images are prepared for these weights is not known; they are as the config says"),
        }
    }
    let mut run = Run::new(config, args.seed, execution.ops, &data.dataset, &args.common.out);
    run.begins_with = beginning.map(|beginning| beginning.path);
    if args.label.name.is_some() || !args.label.tag.is_empty() {
        label::write_labels(std::slice::from_ref(&run.folder), &args.label)?;
    }
    let label = format!("{}, seed {}", scale.name, args.seed);
    if !execution.fresh && matches!(run.status()?, RunStatus::Finished(_)) {
        environment.observer.note(&format!("{label}: finished before, not trained again (`--fresh` would)"));
    }
    let result = match run.complete(&data, &environment, &label, execution.fresh) {
        Err(error) if error.is_interruption() => return Err(Interrupted(describe_training(&error)).into()),
        other => other?,
    };
    match args.output.format {
        Format::Json => print(&serde_json::to_string_pretty(&serde_json::json!({
            "run": run.folder, "identity": run.identity, "result": result,
        }))?),
        Format::Text => {
            if let Some(test) = result.test(run.config.evaluation.views) {
                print_test("test", test, run.config.network.classes);
            }
            let shown = SingleRun::read(&run.folder)?;
            if let Some(pairs) = shown.most_confused() {
                print(&format!("most confused: {pairs}"));
            }
            let page = run_page::write(&run, Some(&data), &run_page::folder_of(&run))?;
            print(&format!("{}: curves, confusions and pictures", page.display()));
            print(&format!("{}: run.json, metrics.jsonl, result.json, weights.bpk", run.folder.display()));
            print(&format!("experiments predict {} photo.jpg", word(&run.folder.display().to_string())));
        }
    }
    Ok(())
}
