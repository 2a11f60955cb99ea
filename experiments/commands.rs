use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use alexnet_data::{Dataset, Views};
use alexnet_ops::{Backend, fits, keep_memory, use_implementation};
use alexnet_train::{Data, Environment, EpochRow, Observer, Predictions, Run, RunStatus, TrainError};
use anyhow::{Context, Result, anyhow, bail};
use clap::CommandFactory;

use crate::ablation::Ablation;
use crate::cli::{
    AblationArgs, BenchArgs, Cli, Command, CommonArgs, DataArgs, DataCommand, EvaluateArgs, Format,
    ModelArgs, ReportArgs, TrainArgs, WeightsCommand,
};
use crate::diff::Diff;
use crate::library::{self, ABLATIONS, BuiltIn, DATA_SETS, SCALES};
use crate::report::Report;
use crate::scale::Scale;
use crate::study::Study;
use crate::{arm, bench as benchmark, fetch, network, predict};

/// The command was interrupted; what it had is kept.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Interrupted(TrainError);

/// Carries out a command.
pub(crate) fn run(cli: Cli, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    match cli.command {
        Command::Ablation(args) => return ablation(&args, stop),
        Command::Train(args) => train(&args, stop)?,
        Command::Evaluate(args) => evaluate(&args, stop)?,
        Command::Report(args) => report(&args)?,
        Command::List => list(),
        Command::Model(args) => model(&args)?,
        Command::Weights(WeightsCommand::Inspect { file, format }) => predict::inspect(&file, format)?,
        Command::Weights(WeightsCommand::Export { file, preset, out, names }) => {
            predict::export(&file, preset.as_deref(), &out, names)?;
        }
        Command::Predict(args) => predict::predict(&args)?,
        Command::Bench(args) => bench(&args)?,
        Command::Data(DataCommand::Fetch { name }) => fetch::fetch(&library::manifest(&name)?, &stop)?,
        Command::Data(DataCommand::Check(args)) => data_check(&args)?,
        Command::Data(DataCommand::Stats(args)) => data_stats(&args)?,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "experiments", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what runs do, on standard error: standard output is for results.
struct Lines;

impl Observer for Lines {
    fn epoch(&self, label: &str, rows: &[EpochRow]) {
        let Some(epoch) = rows.first().map(|row| row.epoch) else {
            return;
        };
        let seconds: f64 = rows.iter().map(|row| row.seconds).sum();
        let errors = rows.iter().map(|row| format!("{} error {:.2} %", row.split, 100.0 * row.top1_error));
        eprintln!("{label}: epoch {epoch}, {}, {seconds:.1} s", errors.collect::<Vec<_>>().join(", "));
    }

    fn note(&self, text: &str) {
        eprintln!("{text}");
    }
}

/// The dashboard shows epochs itself; printing under it would spoil it.
struct Notes;

impl Observer for Notes {
    fn epoch(&self, _: &str, _: &[EpochRow]) {}

    fn note(&self, text: &str) {
        eprintln!("{text}");
    }
}

pub(crate) fn backend(chosen: Option<Backend>) -> Result<Backend> {
    let none = || anyhow!("this build has no backend; build with `--features flex`");
    match chosen {
        Some(backend) => Ok(backend),
        None => Backend::in_this_build().first().copied().ok_or_else(none),
    }
}

fn environment(
    backend: Backend,
    workers: usize,
    dashboard: bool,
    stop: Arc<AtomicBool>,
) -> Result<Environment> {
    Ok(Environment {
        device: backend.device()?,
        backend: backend.to_string(),
        workers,
        dashboard,
        code_version: code_version(),
        stop,
        observer: if dashboard { Arc::new(Notes) } else { Arc::new(Lines) },
    })
}

fn code_version() -> String {
    match option_env!("ALEXNET_BURN_COMMIT") {
        Some(commit) if !commit.is_empty() => format!("{}+{commit}", env!("CARGO_PKG_VERSION")),
        _ => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The dashboard needs a terminal, and standard output for itself.
fn dashboard(args: &CommonArgs, format: Format) -> bool {
    !args.plain && format == Format::Text && std::io::stdout().is_terminal()
}

fn load_data(set: &str, path: Option<&Path>) -> Result<Data> {
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
    Ok(Data::new(Dataset::open(&manifest, &path)?)?)
}

/// What the command line changes in every config.
fn changes(args: &CommonArgs) -> Result<Diff> {
    let mut diff = Diff::default();
    for text in &args.set {
        diff.parse_set(text)?;
    }
    if let Some(epochs) = args.epochs {
        diff.set.insert("recipe.epochs".to_owned(), toml::Value::Integer(epochs as i64));
    }
    Ok(diff)
}

fn ablation(args: &AblationArgs, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    // Everything that can be wrong is found before anything is trained.
    let ablation = Ablation::load(&args.ablation)?;
    let scale = Scale::load(&args.scale)?;
    let configs = arm::resolve(&ablation, &scale, &changes(&args.common)?)?;
    use_implementation(args.common.ops);
    let backend = backend(args.common.backend)?;
    let dashboard = dashboard(&args.common, args.format);
    let environment = environment(backend, args.common.workers, dashboard, stop)?;
    for config in &configs {
        check_fits(&backend, config)?;
    }
    let data = load_data(&configs[0].data.set, args.common.data.as_deref())?;
    let out = &args.common.out;
    let seeds = args.seeds.unwrap_or(scale.seeds);
    let mut study = Study::new(&ablation, &scale, configs, seeds, &data, &environment, out)?;
    let folder = study.folder(out);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot write {}", folder.display()))?;
    let jobs = args.jobs.unwrap_or_else(|| default_jobs(&backend, &study));
    if jobs == 1 {
        keep_memory(); // several small runs are faster with memory of their own
    }
    study.train(&data, &environment, out, args.common.fresh, jobs).map_err(|error| {
        match error.downcast::<TrainError>() {
            Ok(interrupted) => Interrupted(interrupted).into(),
            Err(other) => other,
        }
    })?;
    let path = folder.join("study.json");
    std::fs::write(&path, serde_json::to_string_pretty(&study)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let report = Report::of(&study, out)?;
    report.write(&folder)?;
    show(&report, args.format, &folder)?;
    let failed = study.arms.iter().flat_map(|arm| &arm.runs).any(|run| run.failure.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Small networks leave a processor idle between their small operations; several at once do not.
fn default_jobs(backend: &Backend, study: &Study) -> usize {
    const SMALL: usize = 5_000_000;
    let small = study.arms.iter().all(|arm| arm.parameters < SMALL);
    match backend.name() {
        "flex" if small => std::thread::available_parallelism().map_or(1, usize::from),
        _ => 1,
    }
}

fn check_fits(backend: &Backend, config: &alexnet_train::RunConfig) -> Result<()> {
    let elements = config.network.trace()?.largest_tensor(config.recipe.batch_size);
    Ok(fits(backend, 4 * elements as u64)?)
}

fn show(report: &Report, format: Format, folder: &Path) -> Result<()> {
    match format {
        Format::Json => print(&serde_json::to_string_pretty(report)?),
        Format::Text => {
            print(report.table().trim_end());
            print(&format!("\n{}: report.json, runs.csv, table.txt, curves.svg", folder.display()));
        }
    }
    Ok(())
}

/// Prints a line; a reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn train(args: &TrainArgs, stop: Arc<AtomicBool>) -> Result<()> {
    let scale = Scale::load(&args.config)?;
    let config = scale.config(&changes(&args.common)?)?;
    use_implementation(args.common.ops);
    let backend = backend(args.common.backend)?;
    let environment = environment(backend, args.common.workers, dashboard(&args.common, args.format), stop)?;
    check_fits(&backend, &config)?;
    let data = load_data(&config.data.set, args.common.data.as_deref())?;
    if let Some(reason) = config.inert(data.dataset.channels) {
        bail!("{reason}; set `data.augmentation.colour.std=0`");
    }
    keep_memory();
    let run = Run::new(config, args.seed, &data.dataset, &args.common.out);
    let label = format!("{}, seed {}", scale.name, args.seed);
    if let (RunStatus::Finished(_), false) = (run.status()?, args.common.fresh) {
        environment.observer.note(&format!("{label}: finished before, not trained again (`--fresh` would)"));
    }
    let result = match run.complete(&data, &environment, &label, args.common.fresh) {
        Err(error @ TrainError::Interrupted { .. }) => return Err(Interrupted(error).into()),
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

fn print_test(what: &str, test: &alexnet_train::EvaluationResult) {
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
    let environment = environment(backend(args.backend)?, 1, false, stop)?;
    let runs: Vec<Run> = args
        .runs
        .iter()
        .map(|folder| Run::open(folder).with_context(|| format!("{} is no run folder", folder.display())))
        .collect::<Result<_>>()?;
    let mut data: Option<(String, Data)> = None;
    let mut all: Vec<Predictions> = Vec::new();
    let mut results = Vec::new();
    let mut views = Views::Centre;
    for run in &runs {
        let RunStatus::Finished(_) = run.status()? else {
            bail!("{} is not finished; train it first", run.folder.display());
        };
        let set = &run.config.data.set;
        if data.as_ref().is_none_or(|(loaded, _)| loaded != set) {
            data = Some((set.clone(), load_data(set, args.data.as_deref())?));
        }
        let Some((_, data)) = &data else { continue };
        if Run::new(run.config.clone(), run.seed, &data.dataset, Path::new("")).identity != run.identity {
            bail!(
                "{} was trained on other images than these (or its run.json was changed)",
                run.folder.display()
            );
        }
        views = args.views.unwrap_or(run.config.evaluation.views);
        let predictions = run.predictions(data, &environment, views)?;
        let result = predictions.result(views);
        if args.format == Format::Text {
            print_test(&run.folder.display().to_string(), &result);
        }
        results.push(serde_json::json!({ "run": run.folder, "test": result }));
        all.push(predictions);
    }
    let ensemble = match args.ensemble {
        true => {
            let average = Predictions::average(&all).context("the runs were tested on different images")?;
            Some(average.result(views))
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
    let path = args.folder.join("study.json");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!("cannot read {}; give the folder of an ablation, `runs/ablations/…`", path.display())
    })?;
    let study: Study =
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
    // A study's folder is `<out>/ablations/<study>`.
    let folder = args.folder.canonicalize().with_context(|| args.folder.display().to_string())?;
    let out = folder.ancestors().nth(2).unwrap_or(Path::new("/"));
    let report = Report::of(&study, out)?;
    report.write(&args.folder)?;
    show(&report, args.format, &args.folder)
}

fn model(args: &ModelArgs) -> Result<()> {
    let ours = network::load(&args.name)?;
    let Some(other) = &args.diff else {
        let description = network::Description::of(&ours)?;
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
    let network = network::load(&args.preset)?;
    use_implementation(args.ops);
    let backend = backend(args.backend)?;
    fits(&backend, 4 * network.trace()?.largest_tensor(args.batch) as u64)?;
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    keep_memory();
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

fn data_check(args: &DataArgs) -> Result<()> {
    let data = load_data(&args.name, args.data.as_deref())?;
    let set = &data.dataset;
    for split in [&set.train, &set.validation, &set.test] {
        for index in 0..split.len() {
            split.image(index)?;
        }
    }
    let counts = |split: &alexnet_data::Split| {
        let mut counts = vec![0usize; set.classes.len()];
        (0..split.len()).for_each(|index| counts[split.label(index)] += 1);
        (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0))
    };
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(&serde_json::json!({
            "name": set.name, "checksum": set.checksum, "classes": set.classes, "channels": set.channels,
            "size": set.size, "train": set.train.len(), "validation": set.validation.len(), "test": set.test.len(),
        }))?),
        Format::Text => {
            print(&format!(
                "{}: {} classes, {} channel(s), {} pixels",
                set.name,
                set.classes.len(),
                set.channels,
                set.size
            ));
            for (name, split) in [("train", &set.train), ("validation", &set.validation), ("test", &set.test)]
            {
                let (low, high) = counts(split);
                print(&format!("  {name:<11} {:>8} images, {low} to {high} a class", split.len()));
            }
            print(&format!("  sha256 of pixels and labels {}", set.checksum));
        }
    }
    Ok(())
}

fn data_stats(args: &DataArgs) -> Result<()> {
    let data = load_data(&args.name, args.data.as_deref())?;
    let statistics = &data.statistics;
    match args.format {
        Format::Json => print(&serde_json::to_string_pretty(statistics)?),
        Format::Text => {
            let numbers =
                |values: &[f64]| values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(" ");
            print(&format!("{}, training split, pixels of 0-255", data.dataset.name));
            print(&format!("  channel means       {}", numbers(&statistics.channel_means)));
            let deviations: Vec<f64> =
                statistics.eigenvalues.iter().map(|value| value.max(0.0).sqrt()).collect();
            print(&format!("  principal std       {}", numbers(&deviations)));
            for vector in &statistics.eigenvectors {
                print(&format!("  principal colour    {}", numbers(vector)));
            }
        }
    }
    Ok(())
}
