//! `experiments ablation`, and the commands for the processes that it and `submit` start.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use alexnet_data::Upload;
use alexnet_report::{Page, Report, Section};
use alexnet_study::{Ablation, Clock, Scale, Seeds, Study, Task, arm};
use alexnet_train::{Data, Environment};
use anyhow::{Context, Result, bail};

use super::report::{out_of, show};
use super::slurm;
use super::work::{self, Plan};
use crate::args::{AblationArgs, ExecutionArgs, SlurmArgs, WorkArgs};
use crate::data_sets::load_data;
use crate::environment::{changes, dashboard, environment};
use crate::machine::Machine;
use crate::observer::Lines;
use crate::program::program;

/// An ablation that has passed all checks that are possible before training.
struct Prepared {
    study: Study,
    machine: Machine,
    environment: Environment,
    data: Data,
    /// The study's folder.
    folder: PathBuf,
}

fn prepare(args: &AblationArgs, dashboard: bool, stop: Arc<AtomicBool>) -> Result<Prepared> {
    let ablation = Ablation::load(program().ablations, &args.ablation)?;
    let ablation = if args.common.epochs.is_some() { ablation.without_epochs() } else { ablation };
    let scale = Scale::load(program().scales, &args.scale)?.with_epochs(args.common.epochs);
    let changes = changes(&args.common)?;
    let (source, arms) =
        (arm::source(&ablation, &scale, &changes)?, arm::resolve(&ablation, &scale, &changes)?);
    let execution = &args.common.execution;
    let machine = Machine::of(&execution.machine)?;
    let environment =
        environment(&machine, execution.ops, execution.workers, execution.upload, dashboard, stop);
    for config in source.iter().chain(arms.iter().map(|(_, config)| config)) {
        machine.check_fits(config)?;
    }
    let data = load_data(&arms[0].1.data.set, execution.data.as_deref())?;
    let seeds = match args.until_decided {
        true => Seeds::until_decided(args.max_seeds),
        false => Seeds::fixed(args.seeds.unwrap_or(scale.seeds)),
    };
    let seeds = seeds.starting_at(args.seed_base);
    let mut study = Study::new(&ablation, &scale, source, arms, seeds, &data, &environment)?;
    let folder = Study::folder(&args.common.out, &study.ablation, &study.scale);
    if !execution.fresh && folder.join("study.json").is_file() {
        let earlier = Study::read(&folder).context("`--fresh` begins this study anew")?;
        study.follow(earlier, &folder)?;
    }
    study.write(&folder)?;
    Ok(Prepared { study, machine, environment, data, folder })
}

/// `experiments ablation`.
pub(crate) fn ablation(args: &AblationArgs, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    let Prepared { mut study, machine, mut environment, data, folder } =
        prepare(args, dashboard(&args.common, args.report.output.format), stop)?;
    let (out, fresh) = (&args.common.out, args.common.execution.fresh);
    let jobs = args.jobs.unwrap_or_else(|| default_jobs(&machine, &study));
    let all = study.tasks();
    let done = |task: &Task| if fresh { 0.0 } else { study.done(task, out) };
    if let Some(note) = machine.note().filter(|_| all.iter().any(|task| done(task) < 1.0)) {
        environment.observer.note(note);
    }
    // Without a design, there is one look, at all seeds.
    let looks = study.design.as_ref().map(|design| design.looks.clone());
    let looks: Vec<usize> =
        looks.map_or(vec![study.seeds.len()], |looks| looks.iter().map(|look| look.seeds).collect());
    let (pool, mut failed, mut before) = (OnceLock::new(), 0, 0);
    for (number, &seeds) in looks.iter().enumerate() {
        let open = match number {
            0 => None,
            _ => Some(Report::of(&study, out, args.report.mixed_versions).open_arms(&study)),
        };
        if open.as_ref().is_some_and(BTreeSet::is_empty) {
            break;
        }
        let wanted = |task: &Task| {
            let open = open.as_ref().is_none_or(|open| task.arms.iter().any(|arm| open.contains(arm)));
            (before..seeds).contains(&task.seed) && (open || task.arms.is_empty())
        };
        let tasks: Vec<usize> = (0..all.len()).filter(|&task| wanted(&all[task])).collect();
        let done = |task: &Task| if fresh { 0.0 } else { study.done(task, out) };
        let clock = Arc::new(Clock::start(tasks.iter().map(|&task| (&all[task], done(&all[task])))));
        let log = match jobs {
            1 => None,
            _ => Some(work::begin_log(&folder, 1)?),
        };
        environment.observer =
            Arc::new(Lines { clock: Some(clock.clone()), dashboard: environment.dashboard, log });
        failed += work::train(&Plan {
            study: &study,
            tasks,
            folder: &folder,
            out,
            data: &data,
            environment: &environment,
            clock,
            fresh,
            jobs,
            pool: &pool,
            arguments: worker_arguments(&args.common.execution, &machine, &study),
        })?;
        before = seeds;
        let look = Report::of(&study, out, args.report.mixed_versions);
        study.note_look(look.look(), &folder)?;
        if study.design.is_some() {
            environment.observer.note(&look.progress(number + 1, looks.len(), seeds));
        }
    }
    let report = Report::of(&study, out, args.report.mixed_versions);
    report.write(&folder)?;
    Page::of(vec![Section::of(&study, report.clone(), out)?]).write(&folder.join("report"))?;
    show(&[report], args.report.output.format, &folder.join("report"))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the arguments with which another process of this program trains as this one does.
fn worker_arguments(args: &ExecutionArgs, machine: &Machine, study: &Study) -> Vec<String> {
    let mut words = machine.arguments();
    words.extend(["--ops".to_owned(), args.ops.to_string()]);
    words.extend(["--workers".to_owned(), args.workers.to_string()]);
    if args.upload == Upload::Bytes {
        words.extend(["--upload".to_owned(), "bytes".to_owned()]);
    }
    words.extend(["--study".to_owned(), study.identity()]);
    if let Some(path) = &args.data {
        words.extend(["--data".to_owned(), path.display().to_string()]);
    }
    words
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
    let data = load_data(&study.arms[0].config.data.set, execution.data.as_deref())?;
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
    let arguments = worker_arguments(&execution, &prepared.machine, &prepared.study);
    slurm::submit(args, &prepared.study, &folder, &arguments)
}

/// Returns the default number of jobs. A small network leaves a processor idle between its small operations,
/// so several are trained at once.
fn default_jobs(machine: &Machine, study: &Study) -> usize {
    const SMALL: usize = 5_000_000;
    let small = study.arms.iter().all(|arm| arm.parameters < SMALL);
    match small && machine.is_processor() {
        true => std::thread::available_parallelism().map_or(1, usize::from),
        false => 1,
    }
}
