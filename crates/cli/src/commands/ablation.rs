//! `experiments ablation`, and the commands for the processes that it and `submit` start.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use alexnet_study::{Ablation, Seeds, Study, arm};
use anyhow::{Context, Result, bail};

use super::prepared::{Place, Prepared, worker_arguments};
use super::report::{out_of, show};
use super::{slurm, work};
use crate::args::{AblationArgs, SlurmArgs, WorkArgs};
use crate::data_sets::{identify_themselves, load_data};
use crate::environment::{changes, dashboard, environment};
use crate::machine::Machine;
use crate::output::note;
use crate::own_images::{self, Chosen};
use crate::program::program;

/// The scale of an ablation without `--scale` and without images of the user's own.
const DEFAULT_SCALE: &str = "mini";

fn prepare(args: &AblationArgs, dashboard: bool, stop: Arc<AtomicBool>) -> Result<Prepared> {
    let ablation = Ablation::load(program().ablations, &args.ablation)?;
    let ablation = if args.common.epochs.is_some() { ablation.without_epochs() } else { ablation };
    let images = args.common.execution.data.as_deref();
    if let Some(images) = images.filter(|images| !images.exists()) {
        bail!("--data {}: no such file or folder", images.display());
    }
    let name = match (&args.scale, images) {
        (None, Some(images)) if identify_themselves(images) => None,
        (name, _) => Some(name.as_deref().unwrap_or(DEFAULT_SCALE)),
    };
    if name.is_none() {
        own_images::check_out(images, &args.common.out)?;
    }
    let Chosen { scale, .. } = own_images::scale(name, images, &args.own, None)?;
    let scale = scale.with_epochs(args.common.epochs);
    let changes = changes(&args.common.changes)?;
    let (source, arms) =
        (arm::source(&ablation, &scale, &changes)?, arm::resolve(&ablation, &scale, &changes)?);
    let execution = &args.common.execution;
    let configs = source.iter().chain(arms.iter().map(|(_, config)| config));
    let place = Place::new(execution, &args.common.out, dashboard, stop, configs)?;
    let data = load_data(&arms[0].1, execution.data.as_deref())?;
    if name.is_none() {
        own_images::describe(&data, &arms[0].1, false);
    }
    let seeds = match args.until_decided {
        true => Seeds::until_decided(args.max_seeds),
        false => Seeds::fixed(args.seeds.unwrap_or(scale.seeds)),
    };
    let seeds = seeds.starting_at(args.seed_base);
    let study = Study::new(&ablation, &scale, source, arms, seeds, &data, &place.environment)?;
    let folder = Study::folder(&args.common.out, &study.ablation, &study.scale);
    Prepared::new(study, folder, data, place)
}

/// `experiments ablation`.
pub(crate) fn ablation(args: &AblationArgs, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    let dashboard = dashboard(args.common.plain, args.report.output.format);
    let mut prepared = prepare(args, dashboard, stop)?;
    if args.scale.is_none() && args.common.execution.data.is_some() {
        let (all, missing) = prepared.runs();
        let epochs = prepared.study.arms[0].config.recipe.epochs;
        note(&format!(
            "{missing} of {all} runs to train, epochs of each: {epochs} (`--epochs` and `--seeds` change that)"
        ));
    }
    let failed = prepared.train(args.jobs, args.report.mixed_versions)?;
    let report = prepared.report(args.report.mixed_versions)?;
    show(&[report], args.report.output.format, &prepared.folder.join("report"))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `experiments work`.
pub(crate) fn work_for_another(args: &WorkArgs, stop: Arc<AtomicBool>) -> Result<()> {
    let study = Study::read(&args.folder)?;
    if args.study.as_ref().is_some_and(|identity| *identity != study.identity()) {
        bail!(
            "{}: this ablation has been begun anew with other runs (seeds, epochs, `--set`); submit it again",
            args.folder.display()
        );
    }
    let execution = &args.execution;
    let machine = Machine::of(&execution.machine)?;
    if let Some(threads) = args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        // This thread joins the pool, unless it waits for other threads that use the pool. In a pool of one
        // thread, that would deadlock.
        let pool = if machine.divides_batches() { pool } else { pool.use_current_thread() };
        pool.build_global()?;
    }
    let environment = environment(&machine, execution.ops, execution.workers, execution.upload, false, stop);
    let data = load_data(&study.arms[0].config, execution.data.as_deref())?;
    if data.dataset.checksum != study.checksum {
        bail!("{}: its ablation was begun on other images than these", args.folder.display());
    }
    if !study.is_of_this_program(&data, &environment) {
        bail!(
            "{}: its ablation was begun by a program of other results, or with another `--ops`; begin it again with this one",
            args.folder.display()
        );
    }
    let folder = out_of(&args.folder)?;
    match args.task {
        Some(task) => work::one(&study, task, &folder, &data, &environment),
        None => work::serve(&study, &folder, &data, environment, execution.fresh),
    }
}

/// `experiments submit slurm`.
pub(crate) fn submit(args: &SlurmArgs, stop: Arc<AtomicBool>) -> Result<()> {
    if args.ablation.until_decided {
        bail!("submit slurm has no `--until-decided`: an array of jobs trains all its runs");
    }
    let mut execution = args.ablation.common.execution.clone();
    execution.data = execution.data.map(|path| path.canonicalize().unwrap_or(path));
    let prepared = prepare(&args.ablation, false, stop)?;
    let folder = prepared.folder.canonicalize().context("the ablation's folder")?;
    let arguments = worker_arguments(&execution, &prepared.place.machine, &prepared.study);
    slurm::submit(args, &prepared.study, &folder, &arguments)
}
