use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use alexnet_data::{Dataset, PassedOver, Upload};
use alexnet_model::Network;
use alexnet_ops::{Backend, Implementation, fits, use_implementation};
use alexnet_train::{Data, Environment, Initial, Predictions, Run, RunStatus};
use anyhow::{Context, Result, anyhow, bail};
use clap::CommandFactory;

use crate::ablation::Ablation;
use crate::cli::{
    AblationArgs, BenchArgs, BenchCommand, Cli, Command, CommonArgs, DataCommand, EvaluateArgs, Format,
    MachineArgs, ModelArgs, PowerArgs, ReportArgs, RunsCommand, SlurmArgs, SubmitCommand, TrainArgs,
    WeightsCommand, WorkArgs,
};
use crate::clock::Clock;
use crate::diff::Diff;
use crate::library::{self, ABLATIONS, BuiltIn, DATA_SETS, SCALES};
use crate::machine::{Machine, backend};
use crate::output::{can_show_dashboard, note, print};
use crate::page::{Page, Section};
use crate::power::Power;
use crate::report::Report;
use crate::scale::Scale;
use crate::study::{Seeds, Study, Task};
use crate::work::{Lines, Plan};
use crate::{
    analyze, arm, bench as benchmark, data, evaluate_weights, fetch, network, predict, runs, slurm, watch,
    weights, work,
};

/// The command was interrupted; what it had is kept.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Interrupted(pub(crate) String);

/// Carries out a command.
pub(crate) fn run(cli: Cli, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    match cli.command {
        Command::Ablation(args) => return ablation(&args, stop),
        Command::Train(args) => train(&args, stop)?,
        Command::Evaluate(args) => evaluate(&args, stop)?,
        Command::Report(args) => report(&args)?,
        Command::Power(args) => power(&args)?,
        Command::Runs(RunsCommand::List { folder, format }) => runs::list(&folder, format)?,
        Command::Runs(RunsCommand::Show { run, format }) => runs::show(&run, format)?,
        Command::Runs(RunsCommand::Diff { one, other, format }) => runs::diff(&one, &other, format)?,
        Command::Watch(args) => watch::watch(&args, &stop)?,
        Command::Submit(SubmitCommand::Slurm(args)) => submit(&args, stop)?,
        Command::Work(args) => work_for_another(&args, stop)?,
        Command::List => list(),
        Command::Model(args) => model(&args)?,
        Command::Weights(WeightsCommand::Inspect { file, format }) => weights::inspect(&file, format)?,
        Command::Weights(WeightsCommand::Import { file, origin, out }) => {
            weights::import(&file, &origin, &out)?;
        }
        Command::Weights(WeightsCommand::Export { file, origin, out, names }) => {
            weights::export(&file, &origin, &out, names)?;
        }
        Command::Analyze(command) => analyze::analyze(command, &stop)?,
        Command::Predict(args) => predict::predict(&args)?,
        Command::Bench(args) => bench(&args)?,
        Command::Data(DataCommand::Fetch { name }) => fetch::fetch(&library::manifest(&name)?, &stop)?,
        Command::Data(DataCommand::Prepare(args)) => data::run_prepare(&args, &stop)?,
        Command::Data(DataCommand::Check(args)) => data::run_check(&args, &stop)?,
        Command::Data(DataCommand::Stats(args)) => data::run_stats(&args)?,
        Command::Data(DataCommand::Show(args)) => data::run_show(&args)?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "experiments", &mut script);
            print(String::from_utf8_lossy(&script).trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where runs are carried out, by the form of the operations that is then the process's; the observer prints plain lines, or
/// beside a dashboard notes alone.
fn environment(
    machine: &Machine,
    operations: Implementation,
    workers: usize,
    upload: Upload,
    dashboard: bool,
    stop: Arc<AtomicBool>,
) -> Result<Environment> {
    use_implementation(operations);
    Ok(Environment {
        placement: machine.placement.clone(),
        backend: machine.names(),
        operations,
        workers,
        upload,
        dashboard,
        code_version: code_version(),
        stop,
        observer: Arc::new(Lines { clock: None, dashboard, log: None }),
    })
}

fn code_version() -> String {
    match option_env!("ALEXNET_BURN_COMMIT") {
        Some(commit) if !commit.is_empty() => format!("{}+{commit}", env!("CARGO_PKG_VERSION")),
        _ => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The dashboard needs a terminal that can show it, and standard output for itself.
fn dashboard(args: &CommonArgs, format: Format) -> bool {
    !args.plain && format == Format::Text && can_show_dashboard()
}

fn load_data(set: &str, path: Option<&Path>) -> Result<Data> {
    Ok(Data::new(open_data(set, path)?)?)
}

pub(crate) fn open_data(set: &str, path: Option<&Path>) -> Result<Dataset> {
    let manifest = library::manifest(set)?;
    let path = match path {
        Some(path) if !path.exists() => bail!("--data {}: no such file or folder", path.display()),
        Some(path) => path.to_owned(),
        None => library::find_data(&manifest).ok_or_else(|| {
            let how = if manifest.files.is_empty() {
                format!("see {}", manifest.origin)
            } else {
                format!("download it with `experiments data fetch {}`", manifest.name)
            };
            anyhow!(
                "data set `{}` is not here: {how}, or give its folder or archive with `--data`",
                manifest.name
            )
        })?,
    };
    let set = Dataset::open(&manifest, &path)?;
    note_passed_over(&path, &set.passed_over);
    Ok(set)
}

/// Says which of a data set's files are not used, if there are any but documents.
pub(crate) fn note_passed_over(path: &Path, passed_over: &PassedOver) {
    if passed_over.is_of_note() {
        note(&format!("note: {}: {passed_over}", path.display()));
    }
}

/// What the command line changes in every config.
fn changes(args: &CommonArgs) -> Result<Diff> {
    let mut diff = Diff::default();
    for text in &args.set {
        diff.parse_set(text)?;
    }
    Ok(diff)
}

/// An ablation with everything that can be found wrong before training found right.
struct Prepared {
    study: Study,
    machine: Machine,
    environment: Environment,
    data: Data,
    /// The study's folder.
    folder: PathBuf,
}

fn prepare(args: &AblationArgs, dashboard: bool, stop: Arc<AtomicBool>) -> Result<Prepared> {
    let ablation = Ablation::load(&args.ablation)?;
    let ablation = if args.common.epochs.is_some() { ablation.without_epochs() } else { ablation };
    let scale = Scale::load(&args.scale)?.with_epochs(args.common.epochs);
    let changes = changes(&args.common)?;
    let (source, arms) =
        (arm::source(&ablation, &scale, &changes)?, arm::resolve(&ablation, &scale, &changes)?);
    let machine = Machine::of(&args.common.machine)?;
    let common = &args.common;
    let environment = environment(&machine, common.ops, common.workers, common.upload, dashboard, stop)?;
    for config in source.iter().chain(arms.iter().map(|(_, config)| config)) {
        machine.check_fits(config)?;
    }
    let data = load_data(&arms[0].1.data.set, args.common.data.as_deref())?;
    let seeds = match args.until_decided {
        true => Seeds::UntilDecided { most: args.max_seeds },
        false => Seeds::Fixed(args.seeds.unwrap_or(scale.seeds)),
    };
    let mut study = Study::new(&ablation, &scale, source, arms, seeds, &data, &environment)?;
    let folder = Study::folder(&common.out, &study.ablation, &study.scale);
    if !common.fresh && folder.join("study.json").is_file() {
        let earlier = Study::read(&folder).context("`--fresh` begins this study anew")?;
        study.follow(earlier, &folder)?;
    }
    study.write(&folder)?;
    Ok(Prepared { study, machine, environment, data, folder })
}

fn ablation(args: &AblationArgs, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    let Prepared { mut study, machine, mut environment, data, folder } =
        prepare(args, dashboard(&args.common, args.format), stop)?;
    let (out, fresh) = (&args.common.out, args.common.fresh);
    let jobs = args.jobs.unwrap_or_else(|| default_jobs(&machine, &study));
    let all = study.tasks();
    let done = |task: &Task| if fresh { 0.0 } else { study.done(task, out) };
    if let Some(note) = machine.note().filter(|_| all.iter().any(|task| done(task) < 1.0)) {
        environment.observer.note(note);
    }
    // Without a design there is one look, at all seeds.
    let looks = study.design.as_ref().map(|design| design.looks.clone());
    let looks: Vec<usize> =
        looks.map_or(vec![study.seeds.len()], |looks| looks.iter().map(|look| look.seeds).collect());
    let (pool, mut failed, mut before) = (OnceLock::new(), 0, 0);
    for (number, &seeds) in looks.iter().enumerate() {
        let open = match number {
            0 => None,
            _ => Some(Report::of(&study, out, args.mixed_versions).open_arms(&study)),
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
            arguments: worker_arguments(&args.common, &machine, &study),
        })?;
        before = seeds;
        let look = Report::of(&study, out, args.mixed_versions);
        study.note_look(look.look(), &folder)?;
        if study.design.is_some() {
            environment.observer.note(&look.progress(number + 1, looks.len(), seeds));
        }
    }
    let report = Report::of(&study, out, args.mixed_versions);
    report.write(&folder)?;
    Page::of(vec![Section::of(&study, report.clone(), out)?]).write(&folder.join("report"))?;
    show(&[report], args.format, &folder.join("report"))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What makes another process of this program train as this one does.
fn worker_arguments(args: &CommonArgs, machine: &Machine, study: &Study) -> Vec<String> {
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

fn work_for_another(args: &WorkArgs, stop: Arc<AtomicBool>) -> Result<()> {
    let study = Study::read(&args.folder)?;
    if args.study.as_ref().is_some_and(|identity| *identity != study.identity()) {
        bail!(
            "{}: this ablation has been begun anew with other runs (seeds, epochs, `--set`); submit it again",
            args.folder.display()
        );
    }
    let machine = Machine::of(&args.machine)?;
    if let Some(threads) = args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        // This thread is one of the pool's, unless it waits for others that ask the pool: of one thread, none would answer.
        let pool = if machine.divides_batches() { pool } else { pool.use_current_thread() };
        pool.build_global()?;
    }
    let environment = environment(&machine, args.ops, args.workers, args.upload, false, stop)?;
    let data = load_data(&study.arms[0].config.data.set, args.data.as_deref())?;
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
        None => work::serve(&study, &folder, &data, environment, args.fresh),
    }
}

/// The folder that the runs of a study lie in: a study's own is `<out>/ablations/<study>`.
fn out_of(folder: &Path) -> Result<PathBuf> {
    let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
    Ok(folder.ancestors().nth(2).unwrap_or(Path::new("/")).to_owned())
}

fn submit(args: &SlurmArgs, stop: Arc<AtomicBool>) -> Result<()> {
    if args.ablation.until_decided {
        bail!("submit slurm has no `--until-decided`: an array of jobs trains all its runs");
    }
    let mut common = args.ablation.common.clone();
    common.data = common.data.map(|path| path.canonicalize().unwrap_or(path));
    let prepared = prepare(&args.ablation, false, stop)?;
    let folder = prepared.folder.canonicalize().context("the ablation's folder")?;
    let arguments = worker_arguments(&common, &prepared.machine, &prepared.study);
    slurm::submit(args, &prepared.study, &folder, &arguments)
}

/// Small networks leave a processor idle between their small operations; several at once do not.
fn default_jobs(machine: &Machine, study: &Study) -> usize {
    const SMALL: usize = 5_000_000;
    let small = study.arms.iter().all(|arm| arm.parameters < SMALL);
    match small && machine.is_processor() {
        true => std::thread::available_parallelism().map_or(1, usize::from),
        false => 1,
    }
}

fn show(reports: &[Report], format: Format, folder: &Path) -> Result<()> {
    match (format, reports) {
        (Format::Json, [report]) => print(&serde_json::to_string_pretty(report)?),
        (Format::Json, _) => print(&serde_json::to_string_pretty(reports)?),
        (Format::Text, _) => {
            reports.iter().for_each(|report| print(report.table().trim_end()));
            print(&format!("\n{}: index.html, report.json, runs.csv", folder.display()));
        }
    }
    Ok(())
}

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

fn train(args: &TrainArgs, stop: Arc<AtomicBool>) -> Result<()> {
    let scale = Scale::load(&args.config)?.with_epochs(args.common.epochs);
    let mut config = scale.config(&changes(&args.common)?)?;
    freeze(&mut config.network, &args.freeze)?;
    let beginning =
        args.from.as_deref().map(|from| weights::Beginning::of(from, &config.network)).transpose()?;
    let machine = Machine::of(&args.common.machine)?;
    let environment = environment(
        &machine,
        args.common.ops,
        args.common.workers,
        args.common.upload,
        dashboard(&args.common, args.format),
        stop,
    )?;
    machine.check_fits(&config)?;
    let mut data = load_data(&config.data.set, args.common.data.as_deref())?;
    if let Some(reason) = config.inert(data.dataset.channels) {
        bail!("{reason}; set `data.augmentation.colour.std=0`");
    }
    if let Some(beginning) = &beginning {
        let mut anew = std::mem::take(&mut config.initial.anew);
        anew.extend(args.new.iter().filter(|layer| !anew.contains(layer)).cloned().collect::<Vec<_>>());
        config.initial = Initial { weights: beginning.identity()?, anew };
        match &beginning.how {
            Some(how) if how.gain.len() == data.dataset.channels => {
                let (size, side) = (data.dataset.size, config.network.input.size);
                (data.statistics, config.data.mean, config.data.scale) =
                    how.for_run(&data.statistics, size, side);
                environment.observer.note("images are prepared as for the weights, not as the config says");
            }
            _ => environment
                .observer
                .note("how images are prepared for these weights is not known; they are as the config says"),
        }
    }
    let mut run = Run::new(config, args.seed, args.common.ops, &data.dataset, &args.common.out);
    run.begins_with = beginning.map(|beginning| beginning.path);
    let label = format!("{}, seed {}", scale.name, args.seed);
    if !args.common.fresh && matches!(run.status()?, RunStatus::Finished(_)) {
        environment.observer.note(&format!("{label}: finished before, not trained again (`--fresh` would)"));
    } else if let Some(note) = machine.note() {
        environment.observer.note(note);
    }
    let result = match run.complete(&data, &environment, &label, args.common.fresh) {
        Err(error) if error.is_interruption() => return Err(Interrupted(error.to_string()).into()),
        other => other?,
    };
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(&serde_json::json!({
            "run": run.folder, "identity": run.identity, "result": result,
        }))?),
        Format::Text => {
            if let Some(test) = result.test(run.config.evaluation.views) {
                print_test("test", test);
            }
            print(&format!("{}: run.json, metrics.jsonl, result.json, weights.bpk", run.folder.display()));
        }
    }
    Ok(())
}

pub(crate) fn print_test(what: &str, test: &alexnet_train::EvaluationResult) {
    print(&format!(
        "{what}: top-1 error {:.2} %, top-5 error {:.2} %, loss {:.4} ({} images, {} view(s) each)",
        100.0 * test.top1_error,
        100.0 * test.top5_error,
        test.loss,
        test.images,
        test.views.count(),
    ));
}

fn evaluate(args: &EvaluateArgs, stop: Arc<AtomicBool>) -> Result<()> {
    if let [one] = args.runs.as_slice()
        && (one.is_file() || one == Path::new("torchvision"))
    {
        return evaluate_weights::evaluate(args, one, &stop);
    }
    let machine = MachineArgs { backend: args.backend, devices: Vec::new(), data_parallel: None };
    let environment =
        environment(&Machine::of(&machine)?, Implementation::Fast, 1, Upload::Floats, false, stop)?;
    let runs: Vec<Run> = args
        .runs
        .iter()
        .map(|folder| {
            Run::open(folder).with_context(|| match folder.is_file() {
                true => format!("{}: several are averaged of runs' folders alone", folder.display()),
                false => format!("{} is no run folder, nor a file of weights", folder.display()),
            })
        })
        .collect::<Result<_>>()?;
    if args.origin.is_some() || args.set.is_some() {
        bail!(
            "`--preset`, `--preprocessing`, `--mean` and `--set` are for one file of weights; a run is tested as it was trained"
        );
    }
    let mut data: Option<(String, Data)> = None;
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
        let set = &run.config.data.set;
        if data.as_ref().is_none_or(|(loaded, _)| loaded != set) {
            data = Some((set.clone(), load_data(set, args.data.as_deref())?));
        }
        let Some((_, data)) = &data else { continue };
        if run.record()?.checksum != data.dataset.checksum {
            bail!("{} was trained on other images than these", run.folder.display());
        }
        tested.push(data.dataset.checksum.clone());
        let views = views_of(run);
        let predictions = match run.predictions(data, &environment, views) {
            Err(error) if error.is_interruption() => return Err(Interrupted(error.to_string()).into()),
            other => other?,
        };
        let result = predictions.result(views);
        // Those of the test that the run's result has stay; another backend's may differ in some.
        if run.answers(views)?.is_none()
            && let Err(error) = run.keep_answers(&predictions, views)
        {
            note(&format!("note: {error}"));
        }
        if args.format == Format::Text {
            print_test(&run.folder.display().to_string(), &result);
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
    match (args.format, &ensemble) {
        (Format::Json, _) => print(&serde_json::to_string_pretty(&serde_json::json!({
            "runs": results, "ensemble": ensemble,
        }))?),
        (Format::Text, Some(result)) => print_test(&format!("ensemble of {}", runs.len()), result),
        _ => {}
    }
    Ok(())
}

fn report(args: &ReportArgs) -> Result<()> {
    let mut reports = Vec::new();
    let mut sections = Vec::new();
    let folders = studies(&args.folders)?;
    for folder in &folders {
        let (mut study, out) = (Study::read(folder)?, out_of(folder)?);
        let report = Report::of(&study, &out, args.mixed_versions);
        study.note_look(report.look(), folder)?;
        report.write(folder)?;
        let section = Section::of(&study, report.clone(), &out)?;
        Page::of(vec![section.clone()]).write(&folder.join("report"))?;
        sections.push(section);
        reports.push(report);
    }
    let page = args.out.clone().unwrap_or_else(|| args.folders[0].join("report"));
    Page::of(sections).write(&page)?;
    show(&reports, args.format, &page)
}

/// The folders of studies among `folders`, and within those that `--out` named.
fn studies(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        let inside = std::fs::read_dir(folder.join("ablations")).into_iter().flatten().filter_map(Result::ok);
        let mut inside: Vec<PathBuf> = inside.map(|entry| entry.path()).collect();
        inside.retain(|path| path.join("study.json").is_file());
        inside.sort();
        if inside.is_empty() {
            inside.push(folder.clone());
        }
        found.append(&mut inside);
    }
    Ok(found)
}

fn power(args: &PowerArgs) -> Result<()> {
    let named = Path::new(&args.ablation);
    let folder = match named.join("study.json").is_file() {
        true => named.to_owned(),
        false => Study::folder(&args.out, &args.ablation, &args.scale),
    };
    if !folder.join("study.json").is_file() {
        bail!(
            "there is no {}: train it first, `experiments ablation {} --scale {} --out {}`",
            folder.display(),
            args.ablation,
            args.scale,
            args.out.display()
        );
    }
    let (mut study, out) = (Study::read(&folder)?, out_of(&folder)?);
    let report = Report::of(&study, &out, args.mixed_versions);
    let _ = study.note_look(report.look(), &folder); // of a folder that is only read there is no later table either
    let power = Power::of(&study, &report);
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(&power)?),
        Format::Text => print(power.text().trim_end()),
    }
    Ok(())
}

fn model(args: &ModelArgs) -> Result<()> {
    let ours = network::load(&args.name)?;
    let Some(other) = &args.diff else {
        let description = network::Description::of(&ours, &args.devices, args.batch)?;
        match args.format {
            Format::Json => print(&serde_json::to_string_pretty(&description)?),
            Format::Text => print(&description.text()),
        }
        return Ok(());
    };
    let differences = network::differences(&ours, &network::load(other)?)?;
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(&differences)?),
        Format::Text if differences.is_empty() => print("no difference"),
        Format::Text => differences.iter().for_each(|difference| print(&difference.text())),
    }
    Ok(())
}

fn bench(args: &BenchArgs) -> Result<()> {
    match &args.command {
        Some(BenchCommand::Data(args)) => return data::run_bench(args),
        Some(BenchCommand::Nearest(args)) => return analyze::bench_nearest(args),
        Some(BenchCommand::Codes(args)) => return analyze::bench_codes(args),
        None => {}
    }
    let network = network::load(&args.preset)?;
    use_implementation(args.ops);
    let backend = backend(args.backend)?;
    fits(&backend, (network.trace()?.largest_tensor(args.batch) as u64).saturating_mul(4))?;
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    let (batch, samples) = (args.batch, args.samples);
    let plan = benchmark::Plan { backend, ops: args.ops, batch, train: !args.infer, samples };
    let measurement = benchmark::measure(&network, plan)?;
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(&measurement)?),
        Format::Text => print(measurement.text().trim_end()),
    }
    Ok(())
}

fn list() {
    let lines = |title: &str, files: &[BuiltIn], about: fn(&BuiltIn) -> Result<String>| {
        print(title);
        for file in files {
            let about = about(file).unwrap_or_else(|error| format!("{error:#}"));
            print(&format!("  {:<25} {about}", file.name));
        }
    };
    lines("ablations", ABLATIONS, |file| Ok(Ablation::load(file.name)?.question));
    lines("\nscales", SCALES, |file| Ok(Scale::load(file.name)?.about));
    // A network's first comment says what it is.
    lines("\npresets (networks)", &library::presets(), |file| {
        let first = file.toml.lines().next();
        Ok(first.and_then(|line| line.strip_prefix("# ")).unwrap_or_default().to_owned())
    });
    print("\nbackends in this build");
    for backend in Backend::in_this_build() {
        let state = match backend.device() {
            Ok(_) => "ready".to_owned(),
            Err(error) => error.to_string(),
        };
        print(&format!("  {:<25} {state}", backend.name()));
    }
    print("\ndata sets");
    for file in DATA_SETS {
        let state = match library::manifest(file.name) {
            Ok(manifest) => match library::find_data(&manifest) {
                Some(path) => format!("here: {}", path.display()),
                None if manifest.files.is_empty() => "not here; give it with `--data`".to_owned(),
                None => format!("not here; `experiments data fetch {}`", file.name),
            },
            Err(error) => format!("{error:#}"),
        };
        print(&format!("  {:<25} {state}", file.name));
    }
}
