//! `experiments audit`: all statements of a paper, by one command.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alexnet_data::{Upload, atomic_write};
use alexnet_ops::Implementation;
use alexnet_report::{AuditReport, Report};
use alexnet_study::ablation::Arm;
use alexnet_study::{Ablation, Audit, FinishedRuns, Registration, Scale, Study, arm};
use alexnet_train::RunConfig;
use anyhow::{Context, Result, bail};

use super::prepared::{Place, Prepared};
use crate::args::{AuditArgs, ExecutionArgs, Format};
use crate::data_sets::{find_data, load_data, manifest};
use crate::environment::dashboard;
use crate::interrupted::Interrupted;
use crate::output::{note, print};
use crate::program::program;
use crate::remedies::describe;

/// `experiments audit`.
pub(crate) fn audit(args: &AuditArgs, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    let (audit, designs) = Audit::load(program().audits, program().designs, &args.audit)?;
    let earlier = args.earlier.as_deref().map(FinishedRuns::read).transpose()?.unwrap_or_default();
    let mut finished = earlier.clone();
    for name in &args.only {
        if !designs.contains_key(name) {
            bail!("--only {name}: the audit has no such design; it has {}", audit.designs().join(", "));
        }
    }
    // All files are checked before the first run.
    let mut resolved = BTreeMap::new();
    for (name, design) in &designs {
        resolved.insert(name.as_str(), Resolved::of(design)?);
    }
    check_data(args, &resolved)?;
    let budget = Budget::start(args.budget, stop.clone());
    let (mut reports, mut reasons, mut failed) = (BTreeMap::new(), BTreeMap::new(), false);
    let mut ended = Ok(());
    for name in audit.designs() {
        let (design, resolved) = (&designs[name], &resolved[name]);
        let folder = args.out.join("audits").join(name);
        let chosen = args.only.is_empty() || args.only.iter().any(|only| only == name);
        let to_train = chosen && ended.is_ok() && !budget.is_spent();
        let mut runs = report(design, &folder, &args.out);
        if design.draft {
            reasons.insert(name, "not run: its design is a draft".to_owned());
        }
        if runs.is_ok() && !design.draft && (to_train || !earlier.is_empty()) {
            match train(args, design, resolved, &folder, stop.clone(), &earlier, to_train) {
                Ok(Trained::Runs { failed: some }) => failed |= some > 0,
                Ok(Trained::Nothing(reason)) => {
                    if to_train {
                        note(&format!("design {name}: {reason}"));
                    }
                    reasons.insert(name, reason);
                }
                Err(error) if error.is::<Interrupted>() => ended = Err(error),
                // The other designs do not depend on this one.
                Err(error) => {
                    note(&format!("error: design {name}: {}", describe(&error)));
                    failed = true;
                }
            }
            runs = report(design, &folder, &args.out);
        }
        if runs.as_ref().is_ok_and(Option::is_some) {
            let added = Study::read(&folder).and_then(|study| finished.add(&study, &args.out));
            if let Err(error) = added {
                note(&format!("error: design {name}: {}", describe(&error.into())));
                failed = true;
            }
        }
        match runs {
            Ok(Some(report)) => drop(reports.insert(name.to_owned(), report)),
            Ok(None) => {}
            Err(error) => {
                note(&format!("error: design {name}: {}", describe(&error)));
                reasons.insert(name, "its runs here cannot be used".to_owned());
                failed = true;
            }
        }
    }
    let mut found = AuditReport::of(&audit, &designs, &commits(&designs), &reports);
    for (asked, statement) in audit.statements.iter().zip(&mut found.statements) {
        let reason = asked.design.as_deref().and_then(|design| reasons.get(design));
        if let Some(reason) = reason.filter(|_| statement.comparison.is_none()) {
            statement.untested = Some(reason.clone());
        }
    }
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    found.write(&args.out)?;
    finished.write(&args.out.join(RUNS))?;
    show(&found, args.output.format, &args.out)?;
    if budget.is_spent() {
        note("the budget is spent; the same command goes on");
    } else {
        ended?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Checks that `--data` names data sets of the designs.
fn check_data(args: &AuditArgs, resolved: &BTreeMap<&str, Resolved>) -> Result<()> {
    for given in &args.data {
        let Some((set, path)) = given.split_once('=') else {
            bail!("--data {given}: give the name of a data set and its folder or archive, as in cifar10=PATH")
        };
        let sets: BTreeSet<&str> = resolved.values().map(Resolved::set).collect();
        if !sets.contains(set) {
            let sets: Vec<&str> = sets.into_iter().collect();
            bail!("--data {given}: no design is trained on `{set}`; they are trained on {}", sets.join(", "));
        }
        if !Path::new(path).exists() {
            bail!("--data {given}: no such file or folder");
        }
    }
    Ok(())
}

/// The outcome of training a design.
enum Trained {
    /// All its runs ended, some of them with a failure.
    Runs { failed: usize },
    /// It cannot be trained, for this reason.
    Nothing(String),
}

/// The file with the registration whose runs a folder holds.
const REGISTRATION: &str = "design.json";

/// The file with all finished runs of the audit, which `--earlier` reads.
const RUNS: &str = "audit-runs.jsonl";

/// Returns the report of the runs of a registration, if there are some.
///
/// # Errors
/// If the runs are those of another registration of this name, or cannot be read.
fn report(design: &Registration, folder: &Path, out: &Path) -> Result<Option<Report>> {
    let path = folder.join(REGISTRATION);
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if serde_json::from_str::<Registration>(&text).ok().as_ref() != Some(design) {
        bail!(
            "{} holds runs of another design of this name; remove it, or choose another `--out`",
            folder.display()
        );
    }
    match folder.join("study.json").is_file() {
        true => Ok(Some(Report::of(&Study::read(folder)?, out, false))),
        false => Ok(None),
    }
}

/// A registration with what its names stand for.
struct Resolved {
    ablation: Ablation,
    scale: Scale,
}

impl Resolved {
    fn of(design: &Registration) -> Result<Self> {
        let ablation = Ablation::load(program().ablations, &design.ablation)?;
        let scale = Scale::load(program().scales, &design.scale)?;
        let resolved = Self { ablation, scale };
        resolved.arms(design)?;
        Ok(resolved)
    }

    fn arms(&self, design: &Registration) -> Result<Vec<(&Arm, RunConfig)>> {
        let arms = arm::resolve(&self.ablation, &self.scale, &alexnet_config::Diff::default())?;
        Ok(design.arms(&self.ablation, arms)?)
    }

    /// Returns the name of the data set.
    fn set(&self) -> &str {
        self.scale.data_set()
    }

    /// Returns the images, if they are here.
    fn data(&self, args: &AuditArgs) -> Result<Option<PathBuf>> {
        let given = args.data.iter().filter_map(|given| given.split_once('='));
        match given.into_iter().find(|(set, _)| *set == self.set()) {
            Some((_, path)) => Ok(Some(path.into())),
            None => Ok(find_data(&manifest(self.set())?)),
        }
    }
}

/// Restores the runs that finished elsewhere, and trains what a registration then lacks, if asked to.
fn train(
    args: &AuditArgs,
    design: &Registration,
    resolved: &Resolved,
    folder: &Path,
    stop: Arc<AtomicBool>,
    earlier: &FinishedRuns,
    to_train: bool,
) -> Result<Trained> {
    let set = resolved.set();
    let Some(path) = resolved.data(args)? else {
        return Ok(Trained::Nothing(format!(
            "not run: data set `{set}` is not here; give it with `--data {set}=PATH`"
        )));
    };
    let execution = ExecutionArgs {
        data: Some(path.clone()),
        workers: args.workers,
        upload: Upload::Floats,
        fresh: false,
        ops: Implementation::Fast,
        machine: args.machine.clone(),
    };
    let source = arm::source(&resolved.ablation, &resolved.scale, &alexnet_config::Diff::default())?;
    let arms = resolved.arms(design)?;
    let configs = source.iter().chain(arms.iter().map(|(_, config)| config));
    let place = Place::new(&execution, &args.out, dashboard(args.plain, args.output.format), stop, configs)?;
    let data = load_data(&arms[0].1, Some(&path))?;
    let (ablation, scale, seeds) = (&resolved.ablation, &resolved.scale, design.seeds());
    let mut study = Study::new(ablation, scale, source, arms, seeds, &data, &place.environment)?;
    design.set_deltas(&mut study);
    if !to_train && !earlier.has_some_of(&study) {
        return Ok(Trained::Runs { failed: 0 });
    }
    let unwritten = || format!("cannot write {}", folder.display());
    std::fs::create_dir_all(folder).with_context(unwritten)?;
    atomic_write(&folder.join(REGISTRATION), &serde_json::to_vec_pretty(design)?).with_context(unwritten)?;
    let restored = earlier.restore(&study, &data.dataset, place.environment.operations, &args.out)?;
    if restored > 0 {
        note(&format!("design {}: {restored} runs taken over", design.name));
    }
    let mut prepared = Prepared::new(study, folder.to_owned(), data, place)?;
    if !to_train {
        prepared.report(false)?;
        return Ok(Trained::Runs { failed: 0 });
    }
    let (all, missing) = prepared.runs();
    if missing > 0 {
        note(&format!("design {}: {missing} of {all} runs to train", design.name));
    }
    // A thread of its own, since a thread that has joined a pool stays in it, and the next design has another.
    let failed = std::thread::scope(|scope| {
        let trained = scope.spawn(|| prepared.train(args.jobs, false)).join();
        trained.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    prepared.report(false)?;
    Ok(Trained::Runs { failed })
}

/// Stops training after a time.
struct Budget(Arc<AtomicBool>);

impl Budget {
    fn start(hours: Option<f64>, stop: Arc<AtomicBool>) -> Self {
        let spent = Arc::new(AtomicBool::new(hours == Some(0.0)));
        if let Some(hours) = hours.filter(|hours| *hours > 0.0) {
            let spent = spent.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs_f64(3600.0 * hours));
                spent.store(true, Ordering::SeqCst);
                stop.store(true, Ordering::SeqCst);
            });
        }
        Self(spent)
    }

    fn is_spent(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Returns the commits of those designs that are built in, by their name.
fn commits(designs: &BTreeMap<String, Registration>) -> BTreeMap<String, String> {
    let pairs = program().design_commits.split_whitespace().filter_map(|pair| pair.split_once('='));
    let built_in = |name: &str| {
        let design = Registration::load(program().designs, name).ok();
        design.is_some() && design.as_ref() == designs.get(name)
    };
    pairs
        .filter(|(name, _)| built_in(name))
        .map(|(name, commit)| (name.to_owned(), commit.to_owned()))
        .collect()
}

fn show(report: &AuditReport, format: Format, out: &Path) -> Result<()> {
    if let Format::Json = format {
        print(&serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    print(&report.text());
    print(&format!("\n{}: audit.html, audit.md, audit.json, audit-runs.jsonl", out.display()));
    Ok(())
}
