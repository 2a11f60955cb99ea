//! `data`: prepares, checks, describes and shows images.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use alexnet_data::{
    Dataset, PassedOver, Preparation, Progress, Scratch, Split, Statistics, check, is_prepared, prepare,
};
use anyhow::{Result, bail};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::args::{DataArgs, Format, PrepareArgs};
use crate::data_sets::{NO_STATISTICS, open_data, open_images, statistics};
use crate::interrupted::{Interrupted, or_interrupted};
use crate::output::{can_redraw, note, print};

/// The interval between progress lines if there is no terminal.
const SPOKEN_EVERY: Duration = Duration::from_secs(10);

/// Shows progress: a bar in a terminal, lines elsewhere.
struct Meter {
    bar: Option<ProgressBar>,
    begun: Instant,
    /// The time of the last line, and the amount that was done before this process began.
    state: Mutex<(Instant, Option<usize>)>,
}

impl Meter {
    fn new() -> Result<Self> {
        let bar = can_redraw().then(|| ProgressBar::new(0));
        if let Some(bar) = &bar {
            let template = "{bar:30} {human_pos}/{human_len} images, {per_sec}, {eta} left {msg}";
            bar.set_style(ProgressStyle::with_template(template)?);
        }
        Ok(Self { bar, begun: Instant::now(), state: Mutex::new((Instant::now(), None)) })
    }

    fn show(&self, progress: Progress) {
        let Progress { done, total, rejected } = progress;
        if let Some(bar) = &self.bar {
            if bar.length() != Some(total as u64) {
                bar.set_length(total as u64);
                // The work of an earlier process does not count towards the rate.
                bar.set_position(done as u64);
                bar.reset_eta();
            }
            bar.set_position(done as u64);
            if rejected > 0 {
                bar.set_message(format!("({rejected} broken)"));
            }
            return;
        }
        let Ok(mut state) = self.state.lock() else { return };
        let before = *state.1.get_or_insert(done);
        if state.0.elapsed() < SPOKEN_EVERY {
            return;
        }
        state.0 = Instant::now();
        let rate = (done - before) as f64 / self.begun.elapsed().as_secs_f64();
        let left = if rate > 0.0 { ((total - done) as f64 / rate) as u64 } else { 0 };
        let broken = if rejected > 0 { format!(", {rejected} broken") } else { String::new() };
        note(&format!(
            "{done} of {total} images{broken}, {rate:.0} images/s, {} left",
            HumanDuration(Duration::from_secs(left))
        ));
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What an interrupted preparation or check says.
const GOES_ON: &str = "interrupted; the same command goes on from here";

pub(crate) fn run_prepare(args: &PrepareArgs, stop: &AtomicBool) -> Result<()> {
    if !args.source.exists() {
        bail!("{}: no such file or folder", args.source.display());
    }
    let PrepareArgs { size, encoding, quality, upright, .. } = *args;
    let options = Preparation { size, encoding, quality, upright };
    let jobs = args.jobs.unwrap_or_else(cores);
    let (meter, begun) = (Meter::new()?, Instant::now());
    let prepared = prepare(&args.source, &args.out, options, jobs, stop, &|progress| meter.show(progress));
    meter.end();
    let prepared = or_interrupted(prepared, GOES_ON)?;
    let seconds = begun.elapsed().as_secs_f64();
    let images: usize = prepared.splits.iter().map(alexnet_data::PreparedSplit::images).sum();
    match args.output.format {
        Format::Json => print(&serde_json::to_string_pretty(&prepared)?),
        Format::Text => {
            print(&format!(
                "{}: {images} images of {} in {} classes, {size} × {size} pixels, {seconds:.1} s",
                args.out.display(),
                prepared.source,
                prepared.classes.len(),
                size = prepared.size,
            ));
            for split in &prepared.splits {
                let bytes: u64 = split.shards.iter().map(|shard| shard.bytes).sum();
                let shards = split.shards.len();
                print(&format!(
                    "  {:<6} {:>9} images in {shards} shard(s), {:.1} MB",
                    split.name,
                    split.images(),
                    bytes as f64 / 1e6
                ));
            }
            if prepared.rejected > 0 {
                let list = args.out.join("rejected.tsv");
                print(&format!("  {} broken image(s) left out: {}", prepared.rejected, list.display()));
            }
            print_passed_over(&prepared.passed_over);
        }
    }
    Ok(())
}

fn print_passed_over(passed_over: &PassedOver) {
    if !passed_over.is_empty() {
        print(&format!("  {passed_over}"));
    }
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns the prepared folder, if the argument is one.
fn prepared_folder(args: &DataArgs) -> Option<PathBuf> {
    let path = args.data.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    is_prepared(&path).then_some(path)
}

/// Returns whether a path holds images rather than a data set's manifest.
fn is_images(path: &Path) -> bool {
    path.exists() && path.extension().is_none_or(|extension| extension != "toml")
}

/// Opens a data set by name, or a prepared folder.
pub(super) fn open(args: &DataArgs) -> Result<Dataset> {
    match prepared_folder(args) {
        Some(folder) => Ok(Dataset::open_prepared(&folder)?),
        // Images of the user's own, which have no name.
        None if is_images(Path::new(&args.name)) => {
            let path = Path::new(&args.name);
            open_images(args.data.as_deref().unwrap_or(path))
        }
        None => open_data(&args.name, args.data.as_deref()),
    }
}

pub(crate) fn run_check(args: &DataArgs, stop: &AtomicBool) -> Result<()> {
    if let Some(folder) = prepared_folder(args) {
        return check_prepared(&folder, args.output.format, stop);
    }
    let set = open(args)?;
    let mut scratch = Scratch::default();
    for split in [&set.train, &set.validation, &set.test] {
        for index in 0..split.len() {
            if stop.load(Ordering::SeqCst) {
                return Err(Interrupted("interrupted; nothing was changed".to_owned()).into());
            }
            split.pixels(index, &mut scratch)?;
        }
    }
    let counts = |split: &Split| {
        let mut counts = vec![0usize; set.classes.len()];
        (0..split.len()).for_each(|index| counts[split.label(index)] += 1);
        (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0))
    };
    match args.output.format {
        Format::Json => print(&serde_json::to_string_pretty(&serde_json::json!({
            "name": set.name, "checksum": set.checksum, "classes": set.classes, "channels": set.channels,
            "size": set.size, "train": set.train.len(), "validation": set.validation.len(), "test": set.test.len(),
            "passed_over": set.passed_over,
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
            print(&format!("  sha256 {}", set.checksum));
            print_passed_over(&set.passed_over);
        }
    }
    Ok(())
}

fn check_prepared(folder: &Path, format: Format, stop: &AtomicBool) -> Result<()> {
    let meter = Meter::new()?;
    let checked = check(folder, stop, &|progress| meter.show(progress));
    meter.end();
    let checked = or_interrupted(checked, GOES_ON)?;
    let prepared = &checked.prepared;
    match format {
        Format::Json => {
            let splits: serde_json::Map<_, _> = checked
                .counts
                .iter()
                .map(|(name, counts)| (name.clone(), counts.iter().sum::<usize>().into()))
                .collect();
            print(&serde_json::to_string_pretty(&serde_json::json!({
                "size": prepared.size, "channels": prepared.channels, "encoding": prepared.encoding,
                "classes": prepared.classes.len(), "images": splits, "rejected": prepared.rejected,
                "passed_over": prepared.passed_over,
            }))?);
        }
        Format::Text => {
            let (classes, size) = (prepared.classes.len(), prepared.size);
            print(&format!(
                "{}: {classes} classes, {size} × {size} pixels; all as its manifest says",
                folder.display()
            ));
            for (name, counts) in &checked.counts {
                let (low, high) = (counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0));
                let images: usize = counts.iter().sum();
                print(&format!("  {name:<6} {images:>9} images, {low} to {high} a class"));
            }
            print_passed_over(&prepared.passed_over);
        }
    }
    Ok(())
}

pub(crate) fn run_stats(args: &DataArgs, stop: &AtomicBool) -> Result<()> {
    let folder = prepared_folder(args);
    let set = open(args)?;
    let statistics = match &folder {
        Some(folder) => {
            let statistics = or_interrupted(Statistics::of(&set.official_train(), stop), NO_STATISTICS)?;
            statistics.store(&set, folder)?;
            statistics
        }
        None => statistics(&set)?,
    };
    match args.output.format {
        Format::Json => print(&serde_json::to_string_pretty(&statistics)?),
        Format::Text => {
            let numbers =
                |values: &[f64]| values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(" ");
            print(&format!("{}, training split, pixels of 0-255", set.name));
            print(&format!("  channel means       {}", numbers(&statistics.channel_means)));
            print(&format!("  channel std         {}", numbers(&statistics.channel_stds)));
            let deviations: Vec<f64> =
                statistics.eigenvalues.iter().map(|value| value.max(0.0).sqrt()).collect();
            print(&format!("  eigenvalues         {}", numbers(&statistics.eigenvalues)));
            print(&format!("  principal std       {}", numbers(&deviations)));
            for vector in &statistics.eigenvectors {
                print(&format!("  principal colour    {}", numbers(vector)));
            }
            if let Some(folder) = folder {
                print(&format!(
                    "  stored, with the mean image: {}",
                    folder.join("statistics.json").display()
                ));
            }
        }
    }
    Ok(())
}

/// Returns the side of inputs cut from prepared images in the paper's proportion, 224 of 256 (§2, §4.1).
pub(super) fn paper_side(size: usize) -> usize {
    (size * 7 / 8).max(1)
}
