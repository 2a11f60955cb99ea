//! `data`: prepares, checks, describes and shows images. `bench data`: measures how fast they are loaded.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use alexnet_data::{
    Augmentation, Colour, ColourReading, Crop, DataError, Dataset, Draws, Encoding, Loader, LoaderConfig,
    MeanKind, PassedOver, PixelScale, Preparation, Progress, Scratch, Split, Statistics, Upload, Views,
    check, is_prepared, prepare,
};
use anyhow::{Context, Result, anyhow, bail};
use burn::data::dataloader::DataLoader;
use burn::tensor::Device;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::{BenchDataArgs, BenchView, DataArgs, Format, PrepareArgs, ShowArgs};
use crate::data_sets::open_data;
use crate::interrupted::Interrupted;
use crate::machine::backend;
use crate::output::{can_redraw, note, print};
use crate::sheet;

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

/// Turns an interruption into `Interrupted`, which is not a failure.
fn outcome<T>(result: Result<T, DataError>) -> Result<T> {
    result.map_err(|error| match error {
        DataError::Interrupted => Interrupted(DataError::Interrupted.to_string()).into(),
        error => error.into(),
    })
}

pub(crate) fn run_prepare(args: &PrepareArgs, stop: &AtomicBool) -> Result<()> {
    if !args.source.exists() {
        bail!("{}: no such file or folder", args.source.display());
    }
    let encoding = args.encoding.into();
    let how = Preparation { size: args.size, encoding, quality: args.quality, upright: args.upright };
    let jobs = args.jobs.unwrap_or_else(cores);
    let (meter, begun) = (Meter::new()?, Instant::now());
    let prepared = prepare(&args.source, &args.out, how, jobs, stop, &|progress| meter.show(progress));
    meter.end();
    let prepared = outcome(prepared)?;
    let seconds = begun.elapsed().as_secs_f64();
    let images: usize = prepared.splits.iter().map(alexnet_data::PreparedSplit::images).sum();
    match args.format {
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

fn cores() -> usize {
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
fn open(args: &DataArgs) -> Result<Dataset> {
    match prepared_folder(args) {
        Some(folder) => Ok(Dataset::open_prepared(&folder)?),
        None if is_images(Path::new(&args.name)) => bail!(
            "{} is no prepared data set; make one of it with `experiments data prepare {0} --out DIR`",
            args.name
        ),
        None => open_data(&args.name, args.data.as_deref()),
    }
}

pub(crate) fn run_check(args: &DataArgs, stop: &AtomicBool) -> Result<()> {
    if let Some(folder) = prepared_folder(args) {
        return check_prepared(&folder, args.format, stop);
    }
    let set = open(args)?;
    let mut scratch = Scratch::default();
    for split in [&set.train, &set.validation, &set.test] {
        for index in 0..split.len() {
            split.pixels(index, &mut scratch)?;
        }
    }
    let counts = |split: &Split| {
        let mut counts = vec![0usize; set.classes.len()];
        (0..split.len()).for_each(|index| counts[split.label(index)] += 1);
        (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0))
    };
    match args.format {
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
            print(&format!("  sha256 of pixels and labels {}", set.checksum));
            print_passed_over(&set.passed_over);
        }
    }
    Ok(())
}

fn check_prepared(folder: &Path, format: Format, stop: &AtomicBool) -> Result<()> {
    let meter = Meter::new()?;
    let checked = check(folder, stop, &|progress| meter.show(progress));
    meter.end();
    let checked = outcome(checked)?;
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

pub(crate) fn run_stats(args: &DataArgs) -> Result<()> {
    let folder = prepared_folder(args);
    let set = open(args)?;
    let statistics = match &folder {
        Some(folder) => {
            let statistics = Statistics::of(&set.official_train())?;
            statistics.store(&set, folder)?;
            statistics
        }
        None => Statistics::of_training(&set)?,
    };
    match args.format {
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
fn paper_side(size: usize) -> usize {
    (size * 7 / 8).max(1)
}

/// Returns the paper's augmentation, with or without colour noise.
fn augmentation(colour: Option<ColourReading>) -> Augmentation {
    let reading = colour.unwrap_or(ColourReading::StandardDeviation);
    Augmentation {
        crop: Crop { random: true, padding: 0 },
        flip: 0.5,
        colour: Colour { std: if colour.is_some() { 0.1 } else { 0.0 }, reading, rescale: true },
        shared_by: 1,
    }
}

pub(crate) fn run_show(args: &ShowArgs) -> Result<()> {
    let set = open(&args.data)?;
    let statistics = Statistics::of_training(&set)?;
    let device = backend(None)?.device()?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    let train = set.official_train();
    let sheets = [
        ("samples.png", samples(&set, &train, args)?),
        ("augmentation.png", augmented(&set, &train, &statistics, &device, args.seed)?),
    ];
    for (name, picture) in sheets {
        let path = args.out.join(name);
        picture.save(&path).with_context(|| format!("cannot write {}", path.display()))?;
        print(&path.display().to_string());
    }
    Ok(())
}

/// The minimum side of a tile, in pixels, so that small pictures are visible.
const TILE: usize = 128;

/// Draws random images with their labels.
fn samples(set: &Dataset, train: &Split, args: &ShowArgs) -> Result<sheet::Sheet> {
    let key = |index| alexnet_ops::Key::new([args.seed, index as u64, 0, alexnet_ops::Key::word("show")]);
    let count = args.count.min(train.len());
    // Each image gets a random number, and the lowest are taken: a sample without repetition.
    let mut order: Vec<(u64, usize)> = (0..train.len()).map(|index| (random(key(index)), index)).collect();
    order.sort_unstable();
    let columns = 6.min(count.max(1));
    let side = set.size.max(TILE);
    let mut sheet = sheet::Sheet::new(columns, count.div_ceil(columns), side);
    for (tile, &(_, index)) in order.iter().take(count).enumerate() {
        let pixels = train.image(index)?;
        let label = train.label(index);
        let name = set.class_names[label].split(',').next().unwrap_or_default();
        sheet.tile(tile, &pixels, set.channels, set.size, &format!("{label} {name}"));
    }
    Ok(sheet)
}

fn random(key: alexnet_ops::Key) -> u64 {
    use rand_chacha::rand_core::Rng;
    key.rng().next_u64()
}

/// Draws augmented versions of one image: the original and the centre, then one row for each way of drawing.
fn augmented(
    set: &Dataset,
    train: &Split,
    statistics: &Statistics,
    device: &Device,
    seed: u64,
) -> Result<sheet::Sheet> {
    const DRAWS: usize = 6;
    let index = (seed as usize) % train.len().max(1);
    let one = train.select(&[index]);
    let side = paper_side(set.size);
    let mut rows = vec![("crop, flip", augmentation(None))];
    if set.channels == 3 {
        rows.extend([
            ("colour as run", augmentation(Some(ColourReading::StandardDeviation))),
            ("colour by the text", augmentation(Some(ColourReading::UnitEigenvalue))),
            ("usual constants", augmentation(Some(ColourReading::UsualConstants))),
        ]);
    }
    let mut sheet = sheet::Sheet::new(DRAWS, rows.len() + 1, set.size.max(TILE));
    let image = one.image(0)?;
    sheet.tile(0, &image, set.channels, set.size, "as it is");
    let mut cut = |tile: usize, draws: Draws, epoch: usize, text: &str| -> Result<()> {
        let config = LoaderConfig {
            batch_size: 1,
            side,
            padding: 0,
            mean: MeanKind::None,
            scale: PixelScale::Levels,
            upload: Upload::Floats,
            draws,
            workers: 0,
        };
        let loader = Loader::new(one.clone(), statistics, config, device.clone())?;
        loader.set_epoch(epoch, 0);
        let batch = loader.iter().next().ok_or_else(|| anyhow!("no image"))??;
        let values: Vec<f32> = batch.images.into_data().try_to_vec().map_err(|error| anyhow!("{error:?}"))?;
        let pixels: Vec<u8> = values.iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect();
        sheet.tile(tile, &pixels, set.channels, side, text);
        Ok(())
    };
    cut(1, Draws::Views(Views::Centre), 1, "centre view")?;
    for (row, (text, augmentation)) in rows.into_iter().enumerate() {
        for draw in 0..DRAWS {
            let draws = Draws::Training { seed, augmentation };
            let text = if draw == 0 { text } else { "" };
            cut((row + 1) * DRAWS + draw, draws, draw + 1, text)?;
        }
    }
    Ok(sheet)
}

/// The rate at which images are loaded.
#[derive(Debug, Serialize)]
struct Feed {
    data: String,
    view: &'static str,
    decoder: &'static str,
    upload: &'static str,
    workers: usize,
    batch: usize,
    side: usize,
    images: usize,
    seconds: f64,
    images_per_second: f64,
    /// The peak resident set size of the process; not known on every system.
    peak_rss_bytes: Option<u64>,
}

/// The minimum time of a measurement, which follows an unmeasured epoch.
const MEASURED: Duration = Duration::from_secs(5);

pub(crate) fn run_bench(args: &BenchDataArgs) -> Result<()> {
    let set = open(&args.data)?;
    let mut split = set.official_train();
    let mut decoder = decoder(&set)?;
    if args.no_decode {
        (split, decoder) =
            (split.without_decoding()?, "none: files are read, and the first image's pixels used");
    }
    let workers = args.workers.unwrap_or_else(cores);
    let side = args.side.unwrap_or_else(|| paper_side(set.size));
    let (images, seconds) = match args.view {
        BenchView::Decode => decoding(&split, workers)?,
        _ => feeding(&set, &split, args, workers, side)?,
    };
    let feed = Feed {
        data: set.name.clone(),
        view: args.view.name(),
        decoder,
        upload: if args.upload == Upload::Bytes { "bytes" } else { "floats" },
        workers,
        batch: args.batch,
        side,
        images,
        seconds,
        images_per_second: images as f64 / seconds,
        peak_rss_bytes: alexnet_train::peak_memory(),
    };
    match args.data.format {
        Format::Json => print(&serde_json::to_string_pretty(&feed)?),
        Format::Text => {
            let memory = feed
                .peak_rss_bytes
                .map_or(String::new(), |bytes| format!(", {:.2} GB at most", bytes as f64 / 1e9));
            print(&format!(
                "{}: {:.0} images/s ({}, {} × {} as {}, decoder {}, {} worker(s){memory})",
                feed.data, feed.images_per_second, feed.view, side, side, feed.upload, feed.decoder, workers
            ));
        }
    }
    Ok(())
}

/// Returns the name of the decoder of the set's files.
fn decoder(set: &Dataset) -> Result<&'static str> {
    Ok(match &set.prepared {
        None => "none: images are in memory",
        Some(folder) => match alexnet_data::Prepared::read(folder)?.encoding {
            Encoding::Jpeg => "libjpeg-turbo-rs",
            Encoding::Raw => "none: images are raw",
        },
    })
}

/// Measures whole batches, as training loads them.
fn feeding(
    set: &Dataset,
    split: &Split,
    args: &BenchDataArgs,
    workers: usize,
    side: usize,
) -> Result<(usize, f64)> {
    let training = |colour| Draws::Training { seed: 0, augmentation: augmentation(colour) };
    let draws = match args.view {
        BenchView::Train | BenchView::Decode => training(None),
        BenchView::TrainColour => training(Some(ColourReading::StandardDeviation)),
        BenchView::Centre => Draws::Views(Views::Centre),
        BenchView::Ten => Draws::Views(Views::Ten),
    };
    let statistics = Statistics::of_training(set)?;
    let config = LoaderConfig {
        batch_size: args.batch,
        side,
        padding: 0,
        mean: MeanKind::Image,
        scale: PixelScale::Levels,
        upload: args.upload,
        draws,
        workers,
    };
    let loader = Loader::new(split.clone(), &statistics, config, backend(args.backend)?.device()?)?;
    let epoch = |number: usize| -> Result<usize> {
        loader.set_epoch(number, 0);
        Ok(loader.dry_run()?)
    };
    repeated(epoch)
}

/// Repeats an epoch until the minimum time is reached, after one that is not counted.
fn repeated(mut epoch: impl FnMut(usize) -> Result<usize>) -> Result<(usize, f64)> {
    epoch(1)?;
    let (begun, mut images, mut number) = (Instant::now(), 0, 2);
    while begun.elapsed() < MEASURED {
        images += epoch(number)?;
        number += 1;
    }
    Ok((images, begun.elapsed().as_secs_f64()))
}

/// Measures decoding of all images on `workers` threads, without further processing.
fn decoding(split: &Split, workers: usize) -> Result<(usize, f64)> {
    let workers = workers.max(1);
    repeated(|_| {
        std::thread::scope(|scope| {
            let threads = (0..workers).map(|worker| {
                scope.spawn(move || {
                    let mut scratch = Scratch::default();
                    let mut images = (worker..split.len()).step_by(workers);
                    images.try_for_each(|at| split.pixels(at, &mut scratch).map(drop))
                })
            });
            let threads: Vec<_> = threads.collect();
            for thread in threads {
                thread.join().map_err(|_| anyhow!("a thread failed"))??;
            }
            Ok(split.len())
        })
    })
}
