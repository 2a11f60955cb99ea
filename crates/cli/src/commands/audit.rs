//! `experiments audit`: all statements of a paper, by one command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alexnet_data::Upload;
use alexnet_ops::Implementation;
use alexnet_report::{AuditReport, Report};
use alexnet_study::ablation::Arm;
use alexnet_study::{Ablation, Audit, Registration, Scale, Study, arm};
use alexnet_train::RunConfig;
use anyhow::{Context, Result, bail};

use super::prepared::{Place, Prepared};
use crate::args::{AuditArgs, ExecutionArgs, Format};
use crate::data_sets::{find_data, load_data, manifest};
use crate::environment::dashboard;
use crate::interrupted::Interrupted;
use crate::output::{note, print};
use crate::program::program;

/// `experiments audit`.
pub(crate) fn audit(args: &AuditArgs, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    let (audit, designs) = Audit::load(program().audits, program().designs, &args.audit)?;
    let earlier = args.earlier.as_deref().map(AuditReport::read).transpose()?;
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
    let budget = Budget::start(args.budget, stop.clone());
    let (mut reports, mut reasons, mut failed) = (BTreeMap::new(), BTreeMap::new(), 0);
    let mut ended = Ok(());
    for name in audit.designs() {
        let (design, resolved) = (&designs[name], &resolved[name]);
        let folder = args.out.join("ablations").join(name);
        let chosen = args.only.is_empty() || args.only.iter().any(|only| only == name);
        if chosen && ended.is_ok() && !budget.is_spent() {
            match resolved.data(args)? {
                None => {
                    let reason = format!("not run: data set `{}` is not here", resolved.set());
                    note(&format!("design {name}: {reason}; give it with `--data {}=PATH`", resolved.set()));
                    reasons.insert(name.to_owned(), reason);
                }
                Some(path) => match train(args, design, resolved, &path, &folder, stop.clone()) {
                    Ok(more) => failed += more,
                    Err(error) if error.is::<Interrupted>() => ended = Err(error),
                    Err(error) => return Err(error.context(format!("design `{name}`"))),
                },
            }
        }
        if folder.join("study.json").is_file() {
            reports.insert(name.to_owned(), Report::of(&Study::read(&folder)?, &args.out, false));
        }
    }
    let mut report = AuditReport::of(&audit, &designs, &commits(), &reports);
    for statement in &mut report.statements {
        let design = audit.statements.iter().find(|other| other.id == statement.id);
        let reason = design.and_then(|statement| reasons.get(statement.design.as_ref()?));
        if let Some(reason) = reason.filter(|_| statement.comparison.is_none()) {
            statement.untested = Some(reason.clone());
        }
    }
    if let Some(earlier) = &earlier {
        let taken = report.take_over(earlier);
        if !taken.is_empty() {
            note(&format!("taken from {}: {}", shown(args.earlier.as_deref()), taken.join(", ")));
        }
    }
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    report.write(&args.out)?;
    show(&report, args.output.format, &args.out)?;
    match ended {
        Err(error) if !budget.is_spent() => return Err(error),
        Err(_) => note("the budget is spent; the same command goes on"),
        Ok(()) => {}
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
        for given in &args.data {
            let Some((set, path)) = given.split_once('=') else {
                bail!(
                    "--data {given}: give the name of a data set and its folder or archive, as in cifar10=PATH"
                )
            };
            if set == self.set() {
                return Ok(Some(path.into()));
            }
        }
        Ok(find_data(&manifest(self.set())?))
    }
}

/// Trains what a registration lacks. Returns the number of failed runs.
fn train(
    args: &AuditArgs,
    design: &Registration,
    resolved: &Resolved,
    data: &Path,
    folder: &Path,
    stop: Arc<AtomicBool>,
) -> Result<usize> {
    let execution = ExecutionArgs {
        data: Some(data.to_owned()),
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
    let data = load_data(resolved.set(), Some(data))?;
    let (ablation, scale, seeds) = (&resolved.ablation, &resolved.scale, design.seeds());
    let mut study = Study::new(ablation, scale, source, arms, seeds, &data, &place.environment)?;
    design.set_deltas(&mut study);
    let mut prepared = Prepared::new(study, folder.to_owned(), data, place)?;
    let (all, missing) = prepared.runs();
    if missing > 0 {
        note(&format!("design {}: {missing} of {all} runs to train", design.name));
    }
    let failed = prepared.train(args.jobs, false)?;
    prepared.report(false)?;
    Ok(failed)
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

/// Returns the commits of the built-in designs, by their name.
fn commits() -> BTreeMap<String, String> {
    let pairs = program().design_commits.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, commit)| (name.to_owned(), commit.to_owned())).collect()
}

fn shown(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

fn show(report: &AuditReport, format: Format, out: &Path) -> Result<()> {
    if let Format::Json = format {
        print(&serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    print(&report.text());
    print(&format!("\n{}: audit.html, audit.md, audit.json", out.display()));
    Ok(())
}
