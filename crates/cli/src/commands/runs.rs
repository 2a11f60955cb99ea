//! Lists, shows and compares the runs in a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alexnet_train::{EpochRow, Failure, Label, Run, RunResult, RunStatus, Session, spoken};
use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::args::Format;
use crate::output::{note, print};
use crate::remedies::describe;
use alexnet_config::{self as diff};
use alexnet_study::statistics::McNemar;

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Finished,
    /// A process holds its lock.
    Running,
    /// It could not continue.
    Failed,
    /// No process works on it. The same command resumes it.
    Stopped,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Finished => "finished",
            State::Running => "running",
            State::Failed => "failed",
            State::Stopped => "stopped",
        }
    }
}

/// A summary of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// The name of the folder.
    pub(crate) run: String,
    /// Its name and tags.
    #[serde(flatten)]
    pub(crate) label: Label,
    /// The settings that not all listed runs of this network and data set share.
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) state: State,
    pub(crate) seed: u64,
    pub(crate) epochs: usize,
    pub(crate) of_epochs: usize,
    /// The last known error, in percent.
    pub(crate) validation_top1_error: Option<f64>,
    pub(crate) test_top1_error: Option<f64>,
    pub(crate) backend: String,
    /// The training time, without pauses.
    pub(crate) seconds: f64,
    /// The number of seconds since the last write to its files.
    pub(crate) quiet_seconds: f64,
    pub(crate) failure: Option<String>,
}

impl Summary {
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        let run = Run::open(folder)?;
        let (rows, status, record) = (run.metrics()?, run.status()?, run.record()?);
        let result = match &status {
            RunStatus::Finished(result) => Some(result),
            _ => None,
        };
        let state = match &status {
            RunStatus::Finished(_) => State::Finished,
            _ if run.is_locked() => State::Running,
            _ if Failure::read(folder).is_some() => State::Failed,
            _ => State::Stopped,
        };
        let last = |split: &str| rows.iter().rev().find(|row| row.split == split);
        let test = result.and_then(|result| result.test(run.config.evaluation.views));
        let written = std::fs::metadata(folder.join("metrics.jsonl"))
            .or_else(|_| std::fs::metadata(folder.join("run.json")))
            .and_then(|data| data.modified());
        Ok(Self {
            run: name(folder),
            label: Label::of(folder).unwrap_or_default(),
            settings: BTreeMap::new(),
            state,
            seed: run.seed,
            epochs: last("train").map_or(0, |row| row.epoch),
            of_epochs: run.config.recipe.epochs,
            validation_top1_error: last("validation").map(|row| 100.0 * row.top1_error),
            test_top1_error: test.map(|test| 100.0 * test.top1_error),
            backend: record.sessions.last().map_or(String::new(), |session| session.backend.clone()),
            seconds: rows.iter().map(|row| row.seconds).sum(),
            quiet_seconds: written.ok().and_then(|time| time.elapsed().ok()).map_or(0.0, |t| t.as_secs_f64()),
            failure: Failure::read(folder).map(|failure| failure.why),
        })
    }
}

fn name(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns the run folders in a folder, by name.
pub(crate) fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| path.join("run.json").is_file());
    found.sort();
    Ok(found)
}

/// Returns, for each folder, the settings that not all of these runs of its network and data set share.
fn differing(folders: &[PathBuf]) -> Vec<BTreeMap<String, String>> {
    let values = |folder: &PathBuf| -> Option<(String, BTreeMap<String, String>)> {
        let run = Run::open(folder).ok()?;
        let values = diff::plain_values(&run.config).ok()?.into_iter().collect();
        Some((format!("{} {}", run.config.network.name, run.config.data.set), values))
    };
    let mut all: Vec<(String, BTreeMap<String, String>)> =
        folders.iter().map(|folder| values(folder).unwrap_or_default()).collect();
    // How many runs of each kind have each value.
    let mut runs: BTreeMap<String, usize> = BTreeMap::new();
    let mut shared: BTreeMap<[String; 3], usize> = BTreeMap::new();
    let place = |kind: &str, key: &str, value: &str| [kind, key, value].map(str::to_owned);
    for (kind, values) in &all {
        *runs.entry(kind.clone()).or_default() += 1;
        for (key, value) in values {
            *shared.entry(place(kind, key, value)).or_default() += 1;
        }
    }
    for (kind, values) in &mut all {
        values.retain(|key, value| shared[&place(kind, key, value)] < runs[kind]);
    }
    all.into_iter().map(|(_, values)| values).collect()
}

/// Prints the runs in a folder.
pub(crate) fn list(folder: &Path, tag: Option<&str>, format: Format) -> Result<()> {
    let mut found = folders(folder)?;
    if let Some(tag) = tag {
        found.retain(|folder| Label::of(folder).is_ok_and(|label| label.tags.iter().any(|it| it == tag)));
    }
    if format == Format::Json {
        let mut summaries = Vec::new();
        found.retain(|folder| match Summary::of(folder) {
            Ok(summary) => {
                summaries.push(summary);
                true
            }
            Err(error) => {
                note(&format!("{} is left out: {}", name(folder), describe(&error)));
                false
            }
        });
        summaries.iter_mut().zip(differing(&found)).for_each(|(run, settings)| run.settings = settings);
        print(&serde_json::to_string_pretty(&summaries)?);
        return Ok(());
    }
    if found.is_empty() {
        let with = tag.map_or_else(String::new, |tag| format!(" with the tag `{tag}`"));
        print(&format!("no run in {}{with}", folder.display()));
        return Ok(());
    }
    print(&table(&found));
    Ok(())
}

/// Returns a table of the runs in `folders`, one line each. The line of an unreadable run has the reason.
pub(crate) fn table(folders: &[PathBuf]) -> String {
    let percent = |error: Option<f64>| error.map_or("-".to_owned(), |error| format!("{error:.2}"));
    let mut lines = Vec::new();
    let names: Vec<String> = folders.iter().map(|folder| name(folder)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(3);
    lines.push(format!(
        "{:<width$}  {:<8} {:>7} {:>7} {:>7}  time",
        "run", "state", "epochs", "valid %", "test %"
    ));
    for ((folder, name), settings) in folders.iter().zip(&names).zip(differing(folders)) {
        let run = match Summary::of(folder) {
            Ok(run) => run,
            Err(error) => {
                lines.push(format!("{name:<width$}  {}", describe(&error)));
                continue;
            }
        };
        lines.push(format!(
            "{name:<width$}  {:<8} {:>7} {:>7} {:>7}  {}",
            run.state.name(),
            format!("{}/{}", run.epochs, run.of_epochs),
            percent(run.validation_top1_error),
            percent(run.test_top1_error),
            spoken(Duration::from_secs_f64(run.seconds)),
        ));
        if let Some(line) = described(&run.label, &settings) {
            lines.push(format!("    {line}"));
        }
        if let (State::Failed, Some(failure)) = (run.state, &run.failure) {
            lines.push(format!("    {failure}"));
        }
    }
    lines.join("\n")
}

/// Returns the name, the tags and the changed settings of a run, if it has any.
fn described(label: &Label, settings: &BTreeMap<String, String>) -> Option<String> {
    const SHOWN: usize = 3;
    let mut parts: Vec<String> = label.name.iter().cloned().collect();
    parts.extend(label.tags.iter().map(|tag| format!("#{tag}")));
    // People change the recipe most, then the data.
    let mut keys: Vec<(&String, &String)> = settings.iter().collect();
    keys.sort_by_key(|(key, _)| (!key.starts_with("recipe."), !key.starts_with("data.")));
    let cut = |value: &str| match value.chars().count() > 24 {
        true => value.chars().take(23).chain(['…']).collect(),
        false => value.to_owned(),
    };
    parts.extend(keys.into_iter().take(SHOWN).map(|(key, value)| format!("{key}={}", cut(value))));
    if settings.len() > SHOWN {
        parts.push(format!("and {} more settings (`runs show`)", settings.len() - SHOWN));
    }
    (!parts.is_empty()).then(|| parts.join("  "))
}

fn open(folder: &Path) -> Result<Run> {
    Run::open(folder).with_context(|| format!("{} is no run folder", folder.display()))
}

/// Prints a run's definition and results.
pub(crate) fn show(folder: &Path, format: Format) -> Result<()> {
    /// Everything about a run.
    #[derive(Serialize)]
    struct Shown {
        summary: Summary,
        data: String,
        checksum: String,
        config: alexnet_train::RunConfig,
        sessions: Vec<Session>,
        metrics: Vec<EpochRow>,
        result: Option<RunResult>,
    }
    let run = open(folder)?;
    let (record, metrics) = (run.record()?, run.metrics()?);
    let result = match run.status()? {
        RunStatus::Finished(result) => Some(result),
        _ => None,
    };
    let summary = Summary::of(folder)?;
    if format == Format::Json {
        let (data, checksum, sessions) = (record.data, record.checksum, record.sessions);
        let shown = Shown { summary, data, checksum, config: run.config, sessions, metrics, result };
        print(&serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    print(&table(&[folder.to_owned()]));
    print(&format!("data set {}, sha256 {}", record.data, record.checksum));
    for session in &record.sessions {
        let ago = SystemTime::now()
            .duration_since(UNIX_EPOCH + Duration::from_secs(session.started))
            .map_or(String::new(), |ago| format!("{} ago, ", spoken(ago)));
        print(&format!(
            "session: {ago}from epoch {}, {} ({}) on {}{}, {} threads, code {}{}",
            session.from_epoch,
            session.backend,
            session.operations,
            session.processor,
            session.host.as_ref().map_or(String::new(), |host| format!(" of {host}")),
            session.threads,
            session.code_version,
            session.results.map_or(String::new(), |results| format!(", results {results}")),
        ));
    }
    print("\nepoch  split            loss    top-1 %  top-5 %  rate      seconds");
    for row in &metrics {
        print(&format!(
            "{:>5}  {:<15} {:>7.4} {:>9.2} {:>8.2}  {:<8.2e} {:>8.1}",
            row.epoch,
            row.split,
            row.loss,
            100.0 * row.top1_error,
            100.0 * row.top5_error,
            row.learning_rate,
            row.seconds,
        ));
    }
    print("");
    for (key, value) in diff::plain_values(&run.config)? {
        print(&format!("{key} = {value}"));
    }
    Ok(())
}

/// The differences between two runs.
#[derive(Debug, Serialize)]
struct Comparison {
    runs: [String; 2],
    /// The config differences, including the seed.
    config: Vec<diff::Difference>,
    same_data: bool,
    test_top1_error: [Option<f64>; 2],
    test_loss: [Option<f64>; 2],
    /// The test on the same test images, if both runs stored their predictions.
    mcnemar: Option<McNemar>,
}

/// Prints the differences between two runs.
pub(crate) fn diff(one: &Path, other: &Path, format: Format) -> Result<()> {
    let runs = [open(one)?, open(other)?];
    let [first, second] = &runs;
    let records = [first.record()?, second.record()?];
    let results = runs.each_ref().map(|run| match run.status() {
        Ok(RunStatus::Finished(result)) => result.test(run.config.evaluation.views).copied(),
        _ => None,
    });
    let same_data = records[0].checksum == records[1].checksum;
    let mut config = diff::differences(&first.config, &second.config)?;
    if first.seed != second.seed {
        config.push(diff::Difference::new("seed", first.seed, second.seed));
    }
    let mcnemar = match (
        first.answers(first.config.evaluation.views)?,
        second.answers(second.config.evaluation.views)?,
    ) {
        (Some(one), Some(other))
            if one.targets == other.targets && first.config.data.classes == second.config.data.classes =>
        {
            Some(McNemar::of(&one.right(), &other.right()))
        }
        _ => None,
    };
    let comparison = Comparison {
        runs: [one, other].map(name),
        config,
        same_data,
        test_top1_error: results.map(|test| test.map(|test| 100.0 * test.top1_error)),
        test_loss: results.map(|test| test.map(|test| test.loss)),
        mcnemar,
    };
    if comparison.runs[0].is_empty() || comparison.runs[1].is_empty() {
        bail!("give the folders of two runs");
    }
    match format {
        Format::Json => print(&serde_json::to_string_pretty(&comparison)?),
        Format::Text => print(comparison.text().trim_end()),
    }
    Ok(())
}

impl Comparison {
    fn text(&self) -> String {
        let mut lines = vec![format!("{}  →  {}\n", self.runs[0], self.runs[1])];
        lines.extend(self.config.iter().map(diff::Difference::text));
        if self.config.is_empty() {
            lines.push("the same config and seed".to_owned());
        }
        if !self.same_data {
            lines.push("on other images".to_owned());
        }
        let numbers = |values: [Option<f64>; 2], digits: usize| {
            let [one, other] =
                values.map(|value| value.map_or("-".to_owned(), |value| format!("{value:.digits$}")));
            let difference = values[0]
                .zip(values[1])
                .map_or(String::new(), |(one, other)| format!("  ({:+.digits$})", other - one));
            format!("{one}  →  {other}{difference}")
        };
        lines.push(format!("\n{:<44} {}", "test top-1 error, %", numbers(self.test_top1_error, 2)));
        lines.push(format!("{:<44} {}", "test loss", numbers(self.test_loss, 4)));
        lines.push(match &self.mcnemar {
            Some(test) => format!(
                "test images that one alone is right about    {}  and  {}: McNemar's exact p {}\n\
                 (of these two trained networks; about the two settings it says nothing)",
                test.first_alone,
                test.second_alone,
                if test.p < 0.001 { "below 0.001".to_owned() } else { format!("{:.3}", test.p) },
            ),
            None => "no McNemar's test: the runs have no answers to the same test images on file \
                     (`experiments evaluate RUN…` writes them)"
                .to_owned(),
        });
        lines.join("\n")
    }
}
