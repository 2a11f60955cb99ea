//! `experiments evaluate`: evaluates finished runs, alone or as an ensemble, or weights from elsewhere.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use alexnet_data::Upload;
use alexnet_ops::Implementation;
use alexnet_train::{Data, Environment, Predictions, Run, RunStatus};
use anyhow::{Context, Result, bail};

use super::evaluate_weights;
use crate::args::{EvaluateArgs, Format, MachineArgs};
use crate::data_sets::load_data;
use crate::environment::environment;
use crate::interrupted::Interrupted;
use crate::machine::Machine;
use crate::observer::print_test;
use crate::output::{note, print};
use crate::remedies::describe_training;

/// `experiments evaluate`.
pub(crate) fn evaluate(args: &EvaluateArgs, stop: Arc<AtomicBool>) -> Result<()> {
    if let [one] = args.runs.as_slice()
        && (one.is_file() || (!one.exists() && one.components().count() == 1))
    {
        return evaluate_weights::evaluate_weights(args, one, &stop);
    }
    let machine = MachineArgs { one: args.machine, ..MachineArgs::default() };
    let environment =
        environment(&Machine::of(&machine)?, Implementation::Fast, 1, Upload::Floats, false, stop);
    let runs: Vec<Run> = args
        .runs
        .iter()
        .map(|folder| {
            Run::open(folder).with_context(|| match folder.is_file() {
                true => format!("{}: only run folders can be averaged", folder.display()),
                false => format!("{} is no run folder, nor a file of weights", folder.display()),
            })
        })
        .collect::<Result<_>>()?;
    if args.origin.is_some() || args.data.set.is_some() {
        bail!(
            "`--preset`, `--preprocessing`, `--mean` and `--set` are for one file of weights; a run is tested as it was trained"
        );
    }
    let mut data: Option<((String, usize, usize), Data)> = None;
    let mut all: Vec<Predictions> = Vec::new();
    let mut results = Vec::new();
    let views_of = |run: &Run| args.views.unwrap_or(run.config.evaluation.views);
    if args.ensemble && runs.iter().any(|run| views_of(run) != views_of(&runs[0])) {
        bail!("the runs are tested with different views; say which with `--views`");
    }
    let mut tested = Vec::new();
    for run in &runs {
        let RunStatus::Finished(_) = run.status()? else {
            bail!("{} is not finished; train it first", run.folder.display());
        };
        let config = &run.config;
        let set = (config.data.set.clone(), config.data.size, config.network.input.channels);
        if data.as_ref().is_none_or(|(loaded, _)| *loaded != set) {
            data = Some((set, load_data(&run.config, args.data.data.as_deref())?));
        }
        let Some((_, data)) = &data else { continue };
        if run.record()?.checksum != data.dataset.checksum {
            bail!("{} was trained on other images than these", run.folder.display());
        }
        tested.push(data.dataset.checksum.clone());
        let views = views_of(run);
        let environment = Environment { operations: operations(run, data), ..environment.clone() };
        environment.placement.check_recipe(&run.config.recipe)?;
        let predictions = match run.predictions(data, &environment, views) {
            Err(error) if error.is_interruption() => {
                return Err(Interrupted(describe_training(&error)).into());
            }
            other => other?,
        };
        let result = predictions.result(views);
        // Existing predictions, from the test in the run's result, are kept. Another backend's may differ
        // slightly.
        if run.answers(views)?.is_none()
            && let Err(error) = run.keep_answers(&predictions, views)
        {
            note(&format!("note: {error}"));
        }
        if args.output.format == Format::Text {
            print_test(&run.folder.display().to_string(), &result, run.config.network.classes);
        }
        results.push(serde_json::json!({ "run": run.folder, "test": result }));
        all.push(predictions);
    }
    let ensemble = match args.ensemble {
        true => {
            let classes = |run: &Run| run.config.data.classes.clone();
            if runs.iter().any(|run| classes(run) != classes(&runs[0])) {
                bail!("the runs were tested on images of different classes");
            }
            let average = Predictions::average(&all).filter(|_| tested.iter().all(|it| *it == tested[0]));
            Some(average.context("the runs were tested on different images")?.result(views_of(&runs[0])))
        }
        false => None,
    };
    match (args.output.format, &ensemble) {
        (Format::Json, _) => print(&serde_json::to_string_pretty(&serde_json::json!({
            "runs": results, "ensemble": ensemble,
        }))?),
        (Format::Text, Some(result)) => {
            print_test(&format!("ensemble of {}", runs.len()), result, runs[0].config.network.classes);
        }
        _ => {}
    }
    Ok(())
}

/// Returns the form of the operations that a run was trained with, which its identity depends on.
fn operations(run: &Run, data: &Data) -> Implementation {
    let forms = [Implementation::Fast, Implementation::Direct, Implementation::Composed];
    let of = |form: &Implementation| run.config.identity(&data.dataset, run.seed, *form) == run.identity;
    forms.into_iter().find(of).unwrap_or_default()
}
